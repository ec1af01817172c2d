# docker build -t genre .
# docker run -p 127.0.0.1:8000:8000 -v ./runs:/runs -v genre-cache:/cache -v ./genre.key:/run/secrets/genre_key:ro \
#     genre /runs/movies-1a2b3c4d
# A tag can be moved to another image; a digest cannot: --build-arg PYTHON=3.12.12-slim-trixie@sha256:...
ARG PYTHON=3.12.12-slim-trixie
FROM python:${PYTHON}

WORKDIR /opt/genre
COPY constraints-image.txt ./
RUN pip install --no-cache-dir --require-hashes --requirement constraints-image.txt

# for networks that torch has to run (sasrec): --build-arg TORCH=torch==2.13.0
ARG TORCH=
RUN if [ -n "${TORCH}" ]; then pip install --no-cache-dir "${TORCH}"; fi

COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --create-home --uid 10001 genre \
    && mkdir /runs /cache && chown genre /runs /cache

# language models that were fetched, vectors, machine code: made once, kept in a volume
ENV XDG_CACHE_HOME=/cache

# one thread a product: requests come in batches, and other processes want their cores
ENV OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1

USER genre
WORKDIR /home/genre
VOLUME ["/runs", "/cache"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["genre", "serve", "--host", "0.0.0.0", "--api-key-file", "/run/secrets/genre_key"]
