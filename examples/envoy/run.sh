#!/bin/sh
# Starts Envoy as the actor in which this runs: credence run --class infra/gateway -- sh examples/envoy/run.sh
# SERVER_PORT is where the server behind it listens, PORT where the gateway shall (8443), BUNDLE the secret with the bundle (ROOTCA),
# ENVOY the program (envoy), DIR a directory of its own for its configuration.
set -eu
DIR=${DIR:-$(mktemp -d)}
SOCKET=${SPIFFE_ENDPOINT_SOCKET#unix:}
while [ "${SOCKET#//}" != "$SOCKET" ]; do SOCKET=${SOCKET#/}; done
sed -e "s|\${DIR}|$DIR|; s|\${SOCKET}|$SOCKET|; s|\${PORT}|${PORT:-8443}|; s|\${SERVER_PORT}|$SERVER_PORT|; s|\${BUNDLE}|${BUNDLE:-ROOTCA}|" \
    "$(dirname "$0")/envoy.yaml" > "$DIR/envoy.yaml"
echo "admin $DIR/admin.sock"
exec "${ENVOY:-envoy}" -c "$DIR/envoy.yaml" --disable-hot-restart --log-path /dev/stdout "$@"
