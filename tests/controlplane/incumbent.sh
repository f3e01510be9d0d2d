# Sourced where metrics-server is measured beside ours: builds it if KUBEBUILDER_ASSETS does not hold it.
if [ ! -x "${KUBEBUILDER_ASSETS:-/nowhere}/metrics-server" ] && [ ! -x "$here/bin/metrics-server" ]; then
  "$here/build" "$here/bin" --incumbent
fi
