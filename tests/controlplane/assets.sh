# Sourced by run and up: builds what KUBEBUILDER_ASSETS does not hold.
for tool in etcd kube-apiserver kube-controller-manager kubectl kubelet; do
  if [ ! -x "${KUBEBUILDER_ASSETS:-/nowhere}/$tool" ]; then
    "$here/build"
    break
  fi
done
