# The API, the coordinator, migrations, keys and the command line; no torch.
# From the repository's root: docker build -f docker/server.Dockerfile -t tapestry-server:0.1.0 .
# PIP_EXTRA_ARGS: more words for `pip install`, for instance --index-url of a mirror.

FROM python:3.11.14-slim-bookworm AS requirements
WORKDIR /src
COPY scripts/requirements.py scripts/
COPY pyproject.toml ./
RUN python scripts/requirements.py server s3 otel > requirements.txt

FROM python:3.11.14-slim-bookworm AS build
ARG PIP_EXTRA_ARGS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/tapestry
COPY constraints.txt ./
COPY --from=requirements /src/requirements.txt ./
RUN pip --python /opt/tapestry/bin/python install ${PIP_EXTRA_ARGS} -c constraints.txt -r requirements.txt
RUN pip install ${PIP_EXTRA_ARGS} -c constraints.txt setuptools
COPY pyproject.toml README.md LICENSE ./
COPY shared shared/
COPY server server/
COPY cli cli/
COPY migrations migrations/
RUN pip wheel --no-deps --no-build-isolation -w dist . \
    && pip --python /opt/tapestry/bin/python install --no-deps --no-index dist/*.whl

FROM python:3.11.14-slim-bookworm
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore setuptools wheel pip \
    && groupadd --gid 10001 tapestry \
    && useradd --uid 10001 --gid tapestry --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tapestry \
    && install --directory --owner=tapestry --group=tapestry --mode=0700 \
       /artifacts /keys /keys/operator /keys/planner /keys/clients
COPY --from=build /opt/tapestry /opt/tapestry
COPY scripts/compose_health.py scripts/compose_keys.py /app/scripts/
ENV PATH=/opt/tapestry/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
CMD ["python", "-m", "server.main"]
