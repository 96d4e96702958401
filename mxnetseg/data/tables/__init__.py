"""The data sets that MXNetSeg knows by name, one file per family; importing them fills `spec.TABLE`."""

from . import drawn, driving, indoor, objects, outdoor, people, scenes  # noqa: F401
