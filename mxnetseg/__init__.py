from .registry import create_model, list_backbones, list_models
