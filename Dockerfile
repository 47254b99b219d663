# Clarion without a database of its own: DATABASE_URL names the server (compose.yaml brings one).
FROM python:3.11-slim AS packages

COPY --from=ghcr.io/astral-sh/uv:0.13.9 /uv /usr/local/bin/uv
ENV UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-cache


FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PATH=/app/.venv/bin:$PATH \
    CLARION_DATA_DIR=/data
RUN groupadd --system --gid 10001 clarion && useradd --system --uid 10001 --gid clarion clarion \
    && install -d -o clarion -g clarion -m 0700 /data
WORKDIR /app
COPY --from=packages /app/.venv .venv
# Named one by one, so that a .venv or data directory beside them never gets into the image.
COPY pyproject.toml manage.py ./
COPY devices devices
COPY messaging messaging
COPY console console
COPY templates templates
COPY static static
# Whoever runs it may not write here: without compiled files every start would compile everything anew.
RUN python -m compileall -q devices messaging console

USER clarion
VOLUME /data
EXPOSE 8000 8001
CMD ["python", "manage.py", "up", "--host", "0.0.0.0", "--port", "8000", "--no-demo"]
