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

FROM ${BASE}
COPY --from=install /usr/local/lib/kfx /usr/local/lib/kfx
COPY --chmod=755 hack/image/kfx /usr/local/bin/kfx
RUN mkdir -p /var/lib/kfx && chown 65532:65532 /var/lib/kfx
ENV PYTHONPATH=/usr/local/lib/kfx PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["kfx"]
