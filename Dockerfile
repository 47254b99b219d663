# Clarion without a database of its own: DATABASE_URL names the server (compose.yaml brings one).
FROM python:3.13-slim

COPY --from=ghcr.io/astral-sh/uv:0.13.9 /uv /usr/local/bin/uv
ENV PYTHONUNBUFFERED=1 \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    PATH=/app/.venv/bin:$PATH \
    CLARION_DATA_DIR=/data

RUN useradd --system --uid 10001 clarion && install -d -o clarion -m 0700 /data
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-cache
# Named one by one, so that a .venv or data directory beside them never gets into the image.
COPY manage.py ./
COPY devices devices
COPY messaging messaging
COPY console console
COPY templates templates
COPY static static

USER clarion
VOLUME /data
EXPOSE 8000 8001
HEALTHCHECK --start-period=60s --interval=15s --timeout=5s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["python", "manage.py", "up", "--host", "0.0.0.0", "--port", "8000", "--no-demo"]
