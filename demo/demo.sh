#!/usr/bin/env bash
# The tour of the README against a running `tombolo up`, with its claims checked.
#
#   demo/demo.sh [--dir DIR]      DIR is the one given to up; the default is up's own
#
# It prints each command before it runs it, and ends with "the tour is over: N checks
# passed". The first claim that does not hold ends it with status 1. What it starts
# is removed again.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
export PATH="${TOMBOLO_BIN:-$root/bin}:${TOMBOLO_BIN:-$root/bin}/tools:$PATH"
dir=${XDG_STATE_HOME:-${HOME:-/var/lib}/.local/state}/tombolo
[ "${1:-}" = --dir ] && dir=$2
[ -e "$dir/datacenter.json" ] || { echo "demo: no datacenter in $dir: run make up first, or name its directory with --dir" >&2; exit 1; }

field() { sed -nE "s/.*\"$1\": *\"?([^\",}]+)\"?.*/\1/p" "$dir/datacenter.json" | head -1; }
gateway=172.30.$(field number).1
MASTER=$gateway:$(field master_port)
MARATHON=http://$gateway:8080
BATCH=http://$gateway:8090
export KUBECONFIG=$dir/kubeconfig
work=$(mktemp -d)
passed=0
greedy=()

# weigh WEIGHT: what the role demo-red weighs
weigh() { curl -fsS -X PUT "http://$MASTER/weights" -d "[{\"role\":\"demo-red\",\"weight\":$1}]"; }

finish() {
  status=$?
  set +e
  for pid in "${greedy[@]}"; do kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
  kubectl delete deployment/demo-web pod/demo-shell --ignore-not-found --wait=false >/dev/null 2>&1
  curl -fsS -X DELETE "$MARATHON/v2/apps//demo-legacy" >/dev/null 2>&1
  for role in demo-red demo-green demo-blue; do
    for id in $(frameworks $role); do curl -fsS -X POST "http://$MASTER/teardown" -d "frameworkId=$id" >/dev/null; done
  done
  weigh 1.0 >/dev/null 2>&1
  rm -rf "$work"
  exit $status
}
trap finish EXIT

title() { printf '\n== %s\n' "$*"; }
show() { printf '\n$ %s\n' "$*" >&2; "$@"; }
pass() { passed=$((passed + 1)); echo "   ok: $*"; }
fail() { echo "   NOT SO: $*" >&2; exit 1; }

# await SECONDS WHAT COMMAND...: until the command succeeds
await() {
  local limit=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >"$work/await" 2>&1; do
    [ $SECONDS -lt $limit ] || { cat "$work/await" >&2; fail "$what"; }
    sleep 1
  done
  pass "$what"
}

json() { python3 -c "import json,sys
d=json.load(sys.stdin)
$1"; }
state() { curl -fsS "http://$MASTER/state"; }
# the ids of the frameworks of a role
frameworks() {
  state | ROLE=$1 python3 -c "import json,os,sys
for f in json.load(sys.stdin)['frameworks']:
    if os.environ['ROLE'] in f.get('roles', [f.get('role')]): print(f['id'])"
}

title "Kubernetes pods: one node per agent, a Deployment spread over them"
show kubectl get nodes -o wide
show kubectl create deployment demo-web --image=tombolo/web:1 --replicas=6
show kubectl rollout status deployment/demo-web --timeout=120s
show kubectl get pods -l app=demo-web -o wide
nodes=$(kubectl get pods -l app=demo-web -o jsonpath='{range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort -u | wc -l)
agents=$(kubectl get nodes --no-headers | wc -l)
[ "$nodes" -eq "$agents" ] || fail "6 replicas on $agents nodes: they run on $nodes"
pass "6 replicas run on $nodes nodes"
show kubectl logs deployment/demo-web
kubectl logs deployment/demo-web 2>/dev/null | grep -q listening || fail "the log has no word of the web server"
pass "kubectl logs"
pod=$(kubectl get pods -l app=demo-web -o jsonpath='{.items[0].metadata.name}')
ip=$(kubectl get pod "$pod" -o jsonpath='{.status.podIP}')
show curl -fsS "http://$ip:8080/" | grep -q "host $pod" || fail "pod $pod does not answer on $ip"
pass "pod $pod answers on its own address"
show kubectl run demo-shell --image=busybox:1.36 --restart=Never --command -- sleep 1000
kubectl wait --for=condition=Ready pod/demo-shell --timeout=60s >/dev/null
[ "$(show kubectl exec demo-shell -- hostname)" = demo-shell ] || fail "exec"
pass "kubectl exec"
kubectl delete pod demo-shell --grace-period=1 >/dev/null

title "Legacy processes: a Marathon app of three, each on the port it was given"
cat > "$work/legacy.json" <<'JSON'
{"id": "/demo-legacy", "instances": 3, "cpus": 0.1, "mem": 32,
 "cmd": "echo $MESOS_TASK_ID > index.html; exec busybox httpd -f -p $PORT0",
 "portDefinitions": [{"port": 0}],
 "healthChecks": [{"protocol": "TCP", "portIndex": 0, "intervalSeconds": 2}]}
JSON
show curl -fsS -X POST -H 'Content-Type: application/json' -d @"$work/legacy.json" "$MARATHON/v2/apps" >/dev/null
answering() {
  local n=0
  while read -r id host port; do
    [ "$(curl -fsS --max-time 5 "http://$host:$port/")" = "$id" ] || return 1
    n=$((n + 1))
  done < <(curl -fsS "$MARATHON/v2/apps//demo-legacy/tasks" | json "
for t in d['tasks']: print(t['id'], t['host'], t['ports'][0])")
  echo "$n answer"
  [ $n -eq 3 ]
}
await 60 "3 instances answer HTTP on their \$PORT0" answering

title "Batch: a job of 50 tasks"
show tombolo batch run --server="$BATCH" --name=demo-fifty --tasks=50 --cpus=0.2 --mem=16 -- sh -c 'echo task $TASK_INDEX; sleep 0.5' || fail "the job failed"
pass "50 tasks finished"

title "All three share the agents"
tombolo batch run --server="$BATCH" --name=demo-shared --tasks=6 --cpus=0.1 --mem=16 -- sleep 15 >/dev/null 2>&1 &
shared=$!
together() {
  state | json "
kinds={}
for f in d['frameworks']:
    for t in f['tasks']:
        if t['state']=='TASK_RUNNING': kinds.setdefault(t['slave_id'],set()).add(f['name'])
for agent, names in sorted(kinds.items()): print(agent, sorted(names))
sys.exit(0 if any(len(n)>=3 for n in kinds.values()) else 1)"
}
await 30 "some agent runs tasks of all three frameworks" together
cat "$work/await"
wait $shared

title "Fair shares: three greedy frameworks fill what is left"
weigh 1.0 # the master keeps weights: the tour may have been taken before
for role in demo-red demo-green demo-blue; do
  port=$((21000 + RANDOM % 20000))
  tombolo batch --master="$MASTER" --role=$role --ip="$gateway" --port=$port --state="file://$work/$role" >"$work/$role.log" 2>&1 &
  greedy+=($!)
  for _ in $(seq 30); do curl -fsS "http://$gateway:$port/ping" >/dev/null 2>&1 && break; sleep 1; done
  show tombolo batch run --server="http://$gateway:$port" --detach --name=greedy --tasks=4000 --cpus=0.3 --mem=16 -- sleep 2 >/dev/null
done
# the roles' average parts of the CPUs that the three hold together, over 6 seconds
shares() {
  for _ in $(seq 12); do curl -fsS "http://$MASTER/roles"; echo; sleep 0.5; done | python3 -c "
import json,sys
total={}
for line in sys.stdin:
    if not line.strip(): continue
    for r in json.loads(line)['roles']:
        if r['name'].startswith('demo-'): total[r['name']]=total.get(r['name'],0)+r['resources'].get('cpus',0)
s=sum(total.values()) or 1
want=dict(a.split('=') for a in sys.argv[1:])
print('  '.join('%s %.0f%%' % (n[5:], 100*v/s) for n,v in sorted(total.items())))
sys.exit(0 if all(abs(total.get('demo-'+n,0)/s-float(w))<0.06 for n,w in want.items()) else 1)" "$@"
}
await 90 "equal weights: a third each" shares red=0.333 green=0.333 blue=0.333
cat "$work/await"
show curl -fsS -X PUT "http://$MASTER/weights" -d '[{"role":"demo-red","weight":2.0}]' >/dev/null
await 90 "red with weight 2: a half, the others a quarter" shares red=0.5 green=0.25 blue=0.25
cat "$work/await"

printf '\nthe tour is over: %d checks passed\n' $passed
