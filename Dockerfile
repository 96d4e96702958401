# `mxnetseg serve` on a CPU, not as root: docs/serve.md#docker
FROM python:3.11-slim-bookworm

# g++ compiles the operators for the processor that there is; libgl1 and libglib2.0-0 are what OpenCV loads
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++=4:12.* libgl1=1.* libglib2.0-0=2.* \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 10001 mxnetseg
WORKDIR /home/mxnetseg

# the packages first: they change less often than the code
COPY constraints/python3.11.txt /src/
RUN pip install --no-cache-dir --no-deps --requirement /src/python3.11.txt
COPY . /src/mxnetseg/
RUN pip install --no-cache-dir --no-deps /src/mxnetseg && rm -r /src

USER 10001
ENV PYTHONDONTWRITEBYTECODE=1
# for this machine's processor; on another one it is compiled when the server starts
RUN mxnetseg ops build

# a checkpoint, or the folder of one: mount it there. SageMaker puts it there, and calls `serve`
ENV MXNETSEG_CHECKPOINT=/opt/ml/model MXNETSEG_HOST=0.0.0.0
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["mxnetseg"]
CMD ["serve"]
