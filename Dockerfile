# The image for container tools (make run builds its own, without one). Wheels come from the host, checked there:
#   pip download --require-hashes --no-deps --only-binary=:all: --dest build/wheels -r requirements.lock
#   docker build -t REGISTRY/kfx:TAG .
ARG BASE=python:3.11-slim

FROM ${BASE} AS install
COPY requirements.lock /src/
COPY build/wheels/ /src/wheels/
RUN python -m pip install --no-index --find-links=/src/wheels --require-hashes --no-deps --no-compile \
      --target=/usr/local/lib/kfx -r /src/requirements.lock \
 && rm -rf /usr/local/lib/kfx/bin /usr/local/lib/kfx/*/tests /usr/local/lib/kfx/*/test
COPY kfx/ /usr/local/lib/kfx/kfx/
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /usr/local/lib/kfx

FROM ${BASE} AS base
COPY --from=install /usr/local/lib/kfx /usr/local/lib/kfx
COPY --chmod=755 hack/image/kfx /usr/local/bin/kfx
COPY --chmod=755 hack/image/kfx /app/katib-controller
RUN mkdir -p /var/lib/kfx && chown 65532:65532 /var/lib/kfx
ENV PYTHONPATH=/usr/local/lib/kfx PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532

# For an installation of Katib whose Deployment is given another image and nothing else: its command is
# ./katib-controller, and by that name kfx takes Katib's surroundings as defaults.
#   docker build --target katib-controller -t REGISTRY/katib-controller:TAG .
FROM base AS katib-controller
WORKDIR /app
ENTRYPOINT ["./katib-controller"]

FROM base AS kfx
ENTRYPOINT ["kfx"]
