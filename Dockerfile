# This file builds three images:
#   docker build .                  serving on CPUs (the default, the last stage)
#   docker build --target gpu .     serving on NVIDIA GPUs, with CUDA libraries from PyPI
#   docker build --target train .   training; docs/deploy.md says how to use the CPU build of torch

FROM python:3.11-slim AS python
ENV PATH=/opt/vaeserve/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1

# Dependencies are installed before the code is copied, so code changes keep their layer cached.
FROM python AS dependencies
WORKDIR /src
RUN python -m venv --without-pip /opt/vaeserve
COPY pyproject.toml constraints.txt ./
COPY deploy/requirements.py deploy/
RUN python deploy/requirements.py > base.txt \
 && pip --python /opt/vaeserve/bin/python install \
    --constraint constraints.txt --requirement base.txt

# onnxruntime and onnxruntime-gpu use the same folder, so the first is removed before the second is installed.
FROM dependencies AS dependencies-gpu
RUN python deploy/requirements.py gpu > gpu.txt \
 && pip --python /opt/vaeserve/bin/python uninstall --yes onnxruntime \
 && pip --python /opt/vaeserve/bin/python install \
    --constraint constraints.txt --requirement gpu.txt

# Empty unless `--build-context wheels=<folder>` provides wheels for pip.
FROM scratch AS wheels

FROM dependencies AS dependencies-train
ARG PIP_EXTRA_INDEX_URL
RUN --mount=type=bind,from=wheels,target=/wheels \
    python deploy/requirements.py train > train.txt \
 && pip --python /opt/vaeserve/bin/python install --find-links /wheels \
    --constraint constraints.txt --requirement train.txt

# The project itself, in a layout that can be copied over each environment above.
FROM dependencies AS code
COPY README.md LICENSE ./
COPY app app
COPY model model
COPY training training
COPY vaeserve vaeserve
RUN pip --python /opt/vaeserve/bin/python install --no-deps --prefix /code .

FROM python AS runtime
ARG REVISION=unknown
LABEL org.opencontainers.image.title="vaeserve" \
      org.opencontainers.image.description="Inference microservice for variational autoencoders" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$REVISION"
# A numeric user lets orchestrators verify that it is not root.
RUN groupadd --gid 10001 vae \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/vaeserve vae \
 && install --directory --owner 10001 --group 10001 /var/lib/vaeserve
WORKDIR /var/lib/vaeserve
STOPSIGNAL SIGTERM

FROM runtime AS train
COPY --link --from=dependencies-train /opt/vaeserve /opt/vaeserve
COPY --link --from=code /code /opt/vaeserve
USER 10001:10001
# Runs and caches (hub, decoded images, fonts) go below HOME, which is in the volume.
ENV HOME=/var/lib/vaeserve
ENTRYPOINT ["vaetrain"]
CMD ["run", "mnist"]

FROM runtime AS serving
ENV VAE_HOST=0.0.0.0 \
    VAE_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s \
  CMD ["python", "-ISc", "import http.client, os, sys; server = http.client.HTTPConnection('127.0.0.1', int(os.environ['VAE_PORT']), timeout=4); server.request('GET', '/readyz'); sys.exit(server.getresponse().status != 200)"]
CMD ["vaeserve"]

FROM serving AS gpu
COPY --link --from=dependencies-gpu /opt/vaeserve /opt/vaeserve
COPY --link --from=code /code /opt/vaeserve
RUN python -c 'import importlib.util as find, sys; sys.exit(find.find_spec("torch") is not None)' \
 && python -c 'from model import runtime; assert runtime.CUDA in runtime.ort.get_available_providers()'
USER 10001:10001

FROM serving AS cpu
COPY --link --from=dependencies /opt/vaeserve /opt/vaeserve
COPY --link --from=code /code /opt/vaeserve
# Serving does not need torch. The build fails here if a dependency installs it.
RUN python -c 'import importlib.util as find, sys; sys.exit(find.find_spec("torch") is not None)' \
 && python -Bc 'import app.factory'
USER 10001:10001
