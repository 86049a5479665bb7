# docker build -t errand .
# docker run --rm --network host -v errand:/data errand
#
# Without API keys Errand listens on loopback only and refuses anything else, so the container
# shares the host's network: the page is at http://127.0.0.1:8080 of the host. (Linux; elsewhere
# Docker's own setting for host networking has to be on.)

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home errand \
 && install -d -o errand -g errand /data
COPY --from=build /src/target/release/errand /usr/local/bin/errand
USER errand
WORKDIR /data
ENV ERRAND_DATA_DIR=/data
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["errand"]
