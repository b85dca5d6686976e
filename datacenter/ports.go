package datacenter

import (
	"fmt"
	"net"

	"github.com/tombolo-project/tombolo/datacenter/images"
	"github.com/tombolo-project/tombolo/datacenter/kubernetes"
)

// checkPorts refuses to start when somebody else listens on a port that a part of ours
// needs: most often on all addresses of the machine. Parts that still run from an
// earlier up hold theirs rightly.
func (d *Datacenter) checkPorts() error {
	ports := map[string]int{"master": d.kept.MasterPort}
	if d.config.has(Kubernetes) {
		ports["images"], ports["bridge"] = images.Port, bridgeMetricsPort
		if d.config.Kubeconfig == "" {
			ports["kube-apiserver"] = kubernetes.APIPort
		}
	}
	if d.config.has(Marathon) {
		ports[Marathon] = marathonPort
	}
	if d.config.has(Batch) {
		ports[Batch] = batchPort
	}
	for part, port := range ports {
		if d.super.Runs(part) {
			continue
		}
		listener, err := net.Listen("tcp", d.on(port))
		if err == nil {
			err = listener.Close()
		}
		if err != nil {
			advice := "stop what listens there"
			if part == "master" {
				advice += ", or choose another --master-port"
			}
			return fmt.Errorf("%s needs port %d of %s, which can't be had: %w: %s", part, port, d.plan.Gateway, err, advice)
		}
	}
	return nil
}
