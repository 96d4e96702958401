"""Resize and argmax from MXNet's own operators."""


def upsample_argmax(F, logits, height, width, align_corners):
    """The package's function, by way of logits at full resolution."""
    # BilinearResize2D gives a single row or column the first source, whatever align_corners says; the middle one of
    # three has its centre where the single one has it
    single = [not align_corners and size == 1 for size in (height, width)]
    sizes = [3 if one else size for one, size in zip(single, (height, width))]
    logits = F.contrib.BilinearResize2D(logits, height=sizes[0], width=sizes[1], align_corners=align_corners)
    for axis, one in zip((2, 3), single):
        if one:
            logits = F.slice_axis(logits, axis=axis, begin=1, end=2)
    return F.cast(F.argmax(logits, axis=1), dtype="uint8")
