"""What /openapi.json says of bodies and answers, with examples."""

from typing import Any, Dict, List

__all__ = ["HEALTH", "MODEL", "PICTURE", "PREDICTION", "errors"]

_BINARY = {"type": "string", "format": "binary"}

# requests
PICTURE: Dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, PFM, JPEG 2000, Radiance HDR, Sun raster, .npy",
        "content": {
            "image/*": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"picture": _BINARY}, "required": ["picture"]}
            },
        },
    }
}

_CLASSES = [
    {"index": 0, "name": "road", "color": "#804080", "pixels": 96},
    {"index": 1, "name": "car", "color": "#00008e", "pixels": 4},
]


def _feature(name: str, color: List[int], *rings: List[List[int]]) -> Dict[str, Any]:
    properties = {"objectType": "annotation", "classification": {"name": name, "color": color}}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": list(rings)}, "properties": properties}


_POLYGONS = {
    "type": "FeatureCollection",
    "width": 10,
    "height": 10,
    "classes": _CLASSES,
    "features": [
        _feature(
            "road",
            [128, 64, 128],
            [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]],
            [[2, 2], [2, 4], [4, 4], [4, 2], [2, 2]],
        ),
        _feature("car", [0, 0, 142], [[2, 2], [4, 2], [4, 4], [2, 4], [2, 2]]),
    ],
}
PREDICTION: Dict[int, Dict[str, Any]] = {
    200: {
        "description": "What the network says of the picture, at the picture's own size. X-Answer names the form.",
        "content": {
            "image/png": {"schema": _BINARY},
            "application/x-npz": {"schema": _BINARY},
            **{
                kind: {"example": _POLYGONS, "schema": {"type": "object"}}
                for kind in ("application/json", "application/geo+json")
            },
        },
    }
}
MODEL: Dict[int, Dict[str, Any]] = {
    200: {
        "description": "The network, its classes and what it takes.",
        "content": {
            "application/json": {
                "example": {
                    "version": "3.0.0",
                    "model": {"name": "bisenet", "backbone": "mobilenet_v2_0_5", "num_classes": 2},
                    "checkpoint": "street.params",
                    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "dtype": None,
                    "classes": [{key: one[key] for key in ("index", "name", "color")} for one in _CLASSES],
                    "palette": [[128, 64, 128], [0, 0, 142]],
                    "input": {"channels": 3, "range": None, "crop": None, "scales": [1.0], "flip": False},
                    "limits": {"body": 33554432, "pixels": 16777216, "requests": 64, "seconds": 60.0, "batch": 1},
                    "answers": ["label", "overlay"],
                }
            }
        },
    }
}
HEALTH: Dict[int, Dict[str, Any]] = {
    200: {"description": "Predictions can be had.", "content": {"application/json": {"example": {"status": "ready"}}}}
}

_REASONS = {
    401: ("no_token", "The server's token is missing, or wrong."),
    406: ("not_acceptable", "Accept names no form that there is."),
    408: ("upload_too_slow", "The body takes too long."),
    413: ("too_many_bytes", "Too many bytes, or pixels (too_many_pixels)."),
    415: ("unknown_kind", "No picture, or of a kind that can't be read."),
    422: ("damaged", "A picture or form that can't be read, or an option of another value than there may be."),
    429: ("too_many_of_client", "As many requests of one client are being answered as there may be."),
    503: ("queue_full", "Starting, or as much is being answered as there may be: try again."),
    504: ("too_slow", "No answer in time."),
}


def errors(*statuses: int) -> Dict[Any, Dict[str, Any]]:
    """Refusals with these statuses, for `responses`."""
    found: Dict[Any, Dict[str, Any]] = {}
    for status in statuses:
        reason, description = _REASONS[status]
        example = {"error": {"status": status, "reason": reason, "message": "what is wrong, and what to do"}}
        found[status] = {"description": description, "content": {"application/json": {"example": example}}}
    return found
