"""A Mesos framework on the PyMesos library: runs N command tasks to their end.

usage: framework.py MASTER_HOST:PORT TASKS

It prints one line for each status and, at the end, "finished: N". The exit status
is 0 when every task finished, 1 when one failed, 2 when time ran out.
"""
import sys
import threading
import uuid

from addict import Dict
from pymesos import MesosSchedulerDriver, Scheduler

CPUS, MEM = 0.1, 32
TIMEOUT = 120


class Runner(Scheduler):
    def __init__(self, tasks):
        self.wanted = tasks
        self.launched = 0
        self.finished = set()
        self.failed = {}
        self.done = threading.Event()

    def registered(self, driver, framework_id, master_info):
        print("registered", framework_id.value, flush=True)

    def resourceOffers(self, driver, offers):
        for offer in offers:
            cpus = sum(r.scalar.value for r in offer.resources if r.name == "cpus")
            mem = sum(r.scalar.value for r in offer.resources if r.name == "mem")
            tasks = []
            while self.launched < self.wanted and cpus >= 2 * CPUS + 0.1 and mem >= 2 * MEM + 32:
                tasks.append(self.task(offer))
                cpus -= CPUS + 0.1
                mem -= MEM + 32
                self.launched += 1
            driver.launchTasks(offer.id, tasks)

    def task(self, offer):
        task = Dict()
        task.task_id.value = "py-%d-%s" % (self.launched, uuid.uuid4())
        task.agent_id.value = offer.agent_id.value
        task.name = "py-%d" % self.launched
        task.command.value = "echo $MESOS_TASK_ID from $MESOS_SANDBOX; test -d \"$MESOS_SANDBOX\""
        task.resources = [
            dict(name="cpus", type="SCALAR", scalar={"value": CPUS}),
            dict(name="mem", type="SCALAR", scalar={"value": MEM}),
        ]
        return task

    def statusUpdate(self, driver, update):
        print(update.task_id.value, update.state, update.message or "", flush=True)
        if update.state == "TASK_FINISHED":
            self.finished.add(update.task_id.value)
        elif update.state in ("TASK_FAILED", "TASK_LOST", "TASK_ERROR", "TASK_DROPPED", "TASK_KILLED"):
            self.failed[update.task_id.value] = update.state
        if len(self.finished) + len(self.failed) == self.wanted:
            self.done.set()

    def error(self, driver, message):
        print("error", message, flush=True)
        self.done.set()


def main():
    master, wanted = sys.argv[1], int(sys.argv[2])
    framework = Dict()
    framework.user = "root"
    framework.name = "pymesos"
    framework.hostname = "localhost"
    runner = Runner(wanted)
    driver = MesosSchedulerDriver(runner, framework, master, use_addict=True)
    thread = threading.Thread(target=driver.run, daemon=True)
    thread.start()
    in_time = runner.done.wait(TIMEOUT)
    driver.stop()
    print("finished: %d" % len(runner.finished), flush=True)
    if not in_time:
        return 2
    return 0 if len(runner.finished) == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
