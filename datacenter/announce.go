package datacenter

import (
	"path/filepath"

	"github.com/tombolo-project/tombolo/datacenter/images"
	"github.com/tombolo-project/tombolo/datacenter/processes"
)

// Announce tells where everything is, and four commands to paste that show the kinds
// of work on it.
func (d *Datacenter) Announce() {
	say := d.progress.say
	tombolo := processes.Quote(d.config.Binary)
	say("\nEndpoints")
	say("  master        http://%s", d.master())
	if d.config.has(Marathon) {
		say("  marathon      %s", d.marathonURL())
	}
	if d.config.has(Batch) {
		say("  batch         %s", d.batchURL())
	}
	if d.config.has(Kubernetes) {
		say("  images        http://%s (asked first for every image name)", d.registry())
		say("  kubeconfig    %s", d.kubeconfig)
	}
	say("  logs          %s/<part>.log", d.config.Dir.Logs())
	say("  commands      %s/<part>.cmd", d.config.Dir.Run())
	say("\nTry")
	if d.config.has(Kubernetes) {
		say("  %s --kubeconfig %s create deployment hello --image=%s --replicas=6",
			processes.Quote(filepath.Join(d.config.Tools, "kubectl")), processes.Quote(d.kubeconfig), images.Web)
	}
	if d.config.has(Marathon) {
		say(`  curl -X POST %s/v2/apps -H 'Content-Type: application/json' -d '{"id": "/hello", "instances": 3, "cpus": 0.1, "mem": 32, "portDefinitions": [{}], "cmd": "echo $MESOS_TASK_ID > index.html; exec busybox httpd -f -p $PORT0"}'`, d.marathonURL())
	}
	if d.config.has(Batch) {
		say("  %s batch run --server %s --tasks 50 --cpus 0.5 -- sh -c 'echo task $TASK_INDEX'", tombolo, d.batchURL())
	}
	say("  curl -s http://%s/state", d.master())
	say("\nCtrl-C or  %s down --dir %s  stops everything.", tombolo, processes.Quote(string(d.config.Dir)))
}
