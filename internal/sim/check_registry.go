package sim

import "github.com/mesos/mesos-go/api/v1/lib"

// admittedIsDurable: an agent is told that it is admitted only when the registry
// has that for good (I6).
func (c *checker) admittedIsDurable(m *master, agent string) {
	if _, ok := c.w.registry.durable.Admitted[agent]; !ok && c.leads(m) {
		c.w.fail("I6", "%s admits agent %s, which the registry does not have", m.name, agent)
	}
}

// lossIsDurable: a framework hears that an agent is lost only when the registry
// says so (I6).
func (c *checker) lossIsDurable(m *master, st *mesos.TaskStatus) {
	if st.GetSource() != mesos.SOURCE_MASTER || st.GetState() != mesos.TASK_UNREACHABLE || st.GetReason() != mesos.REASON_AGENT_REMOVED || !c.leads(m) {
		return
	}
	if _, ok := c.w.registry.durable.Unreachable[st.AgentID.GetValue()]; !ok {
		c.w.fail("I6", "%s says that agent %s is unreachable, which the registry does not", m.name, st.AgentID.GetValue())
	}
}

// goneStaysGone: an agent that was marked gone is never admitted again (I6).
func (c *checker) goneStaysGone(m *master, agent string) {
	if _, gone := c.w.registry.durable.Gone[agent]; gone && c.leads(m) {
		c.w.fail("I6", "%s admits agent %s, which is gone", m.name, agent)
	}
}

// leads says whether a master is the one that the election names. Another may act
// on old knowledge until it notices; whom it tells must not believe it (I7).
func (c *checker) leads(m *master) bool { return c.w.leader == m && m.epoch == c.w.epoch }
