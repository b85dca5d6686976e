package datacenter

// Announce tells where everything is, and four commands that show the three kinds of
// work on it.
func (d *Datacenter) Announce() {
	d.progress.say("")
	d.progress.say("  logs          %s", d.config.Dir.Logs())
	d.progress.say("  commands      %s/*.cmd (each part's own, to start it by hand)", d.config.Dir.Run())
	if d.kubeconfig != "" {
		d.progress.say("  kubeconfig    %s", d.kubeconfig)
	}
}
