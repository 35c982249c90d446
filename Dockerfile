# The whole package, for CPUs or for NVIDIA's GPUs, as a user without rights:
#
#   docker build --tag ava_jax .
#   docker build --tag ava_jax:cuda --build-arg EXTRAS=train,video,detector,cuda .
#   docker run --rm --volume "$PWD:/work" ava_jax train --config mini --workdir runs/mini
#
# JAX brings CUDA's libraries; the machine needs NVIDIA's driver and container toolkit
# (docker run --gpus all ...). For Kubernetes add the extra k8s.
ARG PYTHON=3.12

# A package without code, whose dependencies make the large layer. It stays the same
# when only the code changes.
FROM python:${PYTHON}-slim AS dependencies
WORKDIR /source
COPY setup.py setup.cfg pyproject.toml LICENSE ./
COPY ava_jax/__init__.py ava_jax/
RUN mkdir -p configs scripts/benchmarks && touch README.md \
    && pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:${PYTHON}-slim AS code
WORKDIR /source
COPY setup.py setup.cfg pyproject.toml LICENSE README.md ./
COPY ava_jax ava_jax
COPY configs configs
COPY scripts scripts
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:${PYTHON}-slim
ARG EXTRAS=train,video,detector
# The versions are those of setup.cfg.
# hadolint ignore=DL3013
RUN --mount=type=bind,from=dependencies,source=/wheel,target=/wheel \
    pip install --no-cache-dir "$(echo /wheel/*.whl)[${EXTRAS}]"
RUN --mount=type=bind,from=code,source=/wheel,target=/wheel \
    pip install --no-cache-dir --no-deps --force-reinstall /wheel/*.whl
RUN useradd --create-home --uid 1000 ava
USER 1000
WORKDIR /work
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["ava-jax"]
CMD ["--help"]
