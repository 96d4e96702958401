"""The web application: its routes."""

import contextlib
from typing import Any, AsyncIterator, Callable, Dict, List, Mapping, Optional

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer

from .. import __version__, visual
from ..predictor import Predictor
from . import refusal, schema, tokens
from .answers import Answer, Wish, choose, chosen_classes, facts_of_classes
from .limits import Limits
from .metrics import Observed
from .page import page
from .room import Held
from .service import Service

__all__ = ["make_app"]

LIMITS = Limits()


def make_app(
    predictor: Predictor,
    *,
    limits: Limits = LIMITS,
    token: Optional[str] = None,
    batch: int = 1,
    together: Optional[int] = None,
    wait: float = 0.0,
    warm_up: Callable[[], None] = lambda: None,
    facts: Optional[Mapping[str, Any]] = None,
) -> FastAPI:
    """A FastAPI app that answers with what a predictor says.

    Parameters
    ----------
    predictor : Predictor
        Used by a thread of the app's own, from start-up to shutdown.
    token : str, optional
        What clients must say for all but the page, /healthz and /ping.
    batch, together, wait
        Pictures that go through the network at once, the pixels of them (those of one picture of the limits' when left
        out), and seconds that one waits for others: see `Worker`.
    warm_up : callable
        Called in the worker's thread first; the app is not ready before its end.
    facts : mapping, optional
        What GET /model says besides.
    """
    service = Service(predictor, limits, batch, together or limits.pixels, wait, warm_up)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.stop()

    # Swagger's page and ReDoc's load their scripts from elsewhere; /openapi.json is for tools. A redirection would go
    # to whatever host the client named
    app = FastAPI(
        title="MXNetSeg", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan
    )
    app.add_middleware(Held)
    app.add_middleware(Observed, metrics=service.metrics)
    refusal.install(app)

    async def allowed(request: Request) -> None:
        tokens.check(request, token)

    guarded = [Depends(allowed)] + ([Depends(HTTPBearer(auto_error=False))] if token else [])
    about = {**_about(predictor), **(facts or {}), "limits": {**vars(limits), "batch": batch}}

    async def predict(
        request: Request,
        answer: Optional[Answer] = Query(None, description="the form of the answer; what Accept says when left out"),
        classes: List[str] = Query([], description="names of those that are shown; all when left out", max_length=256),
        opacity: float = Query(visual.OPACITY, ge=0, le=1, description="overlay: of the class colours"),
        legend: bool = Query(False, description="overlay: a legend below"),
        tolerance: float = Query(0.0, ge=0, le=100, description="polygons: pixels that outlines may be off"),
        least: int = Query(1, ge=1, description="polygons: pixels of the smallest regions"),
        confidence: bool = Query(False, description="npz: with the confidence of every pixel"),
    ) -> Response:
        """What the network says of the picture in the body."""
        form, media_type = choose(answer, ", ".join(request.headers.getlist("accept")))
        shown = chosen_classes(classes, form, predictor)
        wish = Wish(form, media_type, shown, opacity, legend, tolerance, least, confidence)
        encoded = await service.answer(request, wish)
        return Response(encoded.content, 200, {"X-Answer": form.value}, encoded.media_type)

    def health() -> Dict[str, str]:
        """Whether predictions can be had."""
        service.check_ready()
        return {"status": "ready"}

    async def healthz() -> JSONResponse:
        """Whether predictions can be had: 200, or 503 while the network is warmed up."""
        return JSONResponse(health())

    async def ping() -> JSONResponse:
        """The same, by SageMaker's name."""
        return JSONResponse(health())

    async def model() -> JSONResponse:
        """The network, its classes and what it takes."""
        return JSONResponse(about)

    async def metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(service.metrics.text(), media_type=service.metrics.media_type)

    async def root() -> Response:
        """A page to try it on."""
        return page()

    post: Dict[str, Any] = {
        "responses": {**schema.PREDICTION, **schema.errors(401, 406, 408, 413, 415, 422, 429, 503, 504)},
        "openapi_extra": schema.PICTURE,
        "response_class": Response,
        "dependencies": guarded,
    }
    for path in ("/predict", "/invocations"):
        app.post(path, **post)(predict)
    for path, function in (("/healthz", healthz), ("/ping", ping)):
        app.get(path, responses={**schema.HEALTH, **schema.errors(503)})(function)
    app.get("/model", responses={**schema.MODEL, **schema.errors(401)}, dependencies=guarded)(model)
    app.get("/metrics", response_class=Response, responses=schema.errors(401), dependencies=guarded)(metrics)
    app.get("/", response_class=Response, include_in_schema=False)(root)
    for path, function in (("/healthz", healthz), ("/ping", ping), ("/", root)):
        app.head(path, include_in_schema=False)(function)  # as load balancers ask
    return app


def _about(predictor: Predictor) -> Dict[str, Any]:
    """What GET /model says of the network."""
    config, feeding = predictor.config, predictor.feeding
    return {
        "version": __version__,
        "model": dict(predictor.net.spec),
        "classes": facts_of_classes(predictor),
        "palette": predictor.palette.tolist(),
        "input": {
            "channels": 3 if predictor.reading.channels is None else list(predictor.reading.channels),
            "range": feeding.range,
            "base": config.base or feeding.base,
            "fit": config.fit or feeding.fit,
            "crop": config.crop,
            "stride": config.stride,
            "scales": list(config.scales),
            "flip": config.flip,
        },
        "answers": [one.value for one in Answer],
    }
