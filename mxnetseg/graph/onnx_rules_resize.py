"""ONNX for MXNet's bilinear resize."""

from typing import Any, Callable, Dict

from .onnx_step import Step

__all__ = ["RULES"]


def _bilinear_resize(step: Step) -> str:
    mode = step.choice("mode", {name: name for name in ("size", "like")}, "size")
    x = step.inputs[0]
    # MXNet aligns corners unless it is told not to
    where = "align_corners" if step.node.flag("align_corners", True) else "half_pixel"
    options = dict(mode="linear", coordinate_transformation_mode=where)
    if step.shapes[0][2:] == step.result[2:]:
        return x
    scales = [step.option(f"scale_{side}") for side in ("height", "width")]
    if mode == "size" and None not in scales:
        # runtimes differ in how they round other sizes, and in where pixels lie between corners that aren't aligned
        parts = 8 if where == "align_corners" else 1
        if any(parts * scale != int(parts * scale) for scale in scales):
            step.refuse("scale_height", scales[0])
        return step.emit("Resize", x, "", step.number([1, 1, *scales]), **options)
    return step.emit("Resize", x, "", "", step.sizes(step.result), **options)


RULES: Dict[str, Callable[[Step], Any]] = {"_contrib_BilinearResize2D": _bilinear_resize}
