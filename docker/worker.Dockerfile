# The planner and the workers, with torch; no database driver.
# From the repository's root: docker build -f docker/worker.Dockerfile -t tapestry-worker:0.1.0 .
# PIP_EXTRA_ARGS: more words for `pip install`. On Linux the public registry serves the CUDA build
# of torch (gigabytes); for the CPU build name an index that has it: --extra-index-url=URL.

FROM python:3.11.14-slim-bookworm AS requirements
WORKDIR /src
COPY scripts/requirements.py scripts/
COPY pyproject.toml ./
RUN python scripts/requirements.py worker otel > requirements.txt

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
COPY worker worker/
RUN pip wheel --no-deps --no-build-isolation -w dist . \
    && pip --python /opt/tapestry/bin/python install --no-deps --no-index dist/*.whl

FROM python:3.11.14-slim-bookworm
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore setuptools wheel pip \
    && groupadd --gid 10001 tapestry \
    && useradd --uid 10001 --gid tapestry --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tapestry \
    && install --directory --owner=tapestry --group=tapestry --mode=0700 /state /keys /shelf-keys
COPY --from=build /opt/tapestry /opt/tapestry
COPY scripts/compose_health.py /app/scripts/
# A base that a job takes from a hub is kept with the worker's state.
ENV PATH=/opt/tapestry/bin:$PATH HOME=/tmp HF_HOME=/state/hub PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
CMD ["python", "-m", "worker", "clients"]
