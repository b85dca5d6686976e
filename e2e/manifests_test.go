package e2e

// webDeployment answers HTTP with its pod's name and says hello in its log.
const webDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 2
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}
      containers:
      - name: web
        image: busybox:1.36
        command: [sh, -c, 'echo hello from $(hostname); mkdir /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www']
        resources: {requests: {cpu: 100m, memory: 32Mi}}
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 2}
`

const featuresManifest = `
apiVersion: v1
kind: ConfigMap
metadata: {name: colours}
data: {colour: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {key: s3cret}
---
apiVersion: v1
kind: Pod
metadata: {name: features, labels: {test: features}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 1234}
  initContainers:
  - name: init
    image: busybox:1.36
    command: [sh, -c, 'echo ready > /shared/left']
    volumeMounts: [{name: shared, mountPath: /shared}]
  containers:
  - name: main
    image: busybox:1.36
    command:
    - sh
    - -c
    - |
      echo plain=$PLAIN
      echo from-config=$COLOUR
      echo from-secret=$KEY
      echo name=$NAME
      echo expanded=$EXPANDED
      echo config-file=$(cat /config/colour)
      echo secret-file=$(cat /keys/key)
      echo init-left=$(cat /shared/left)
      echo cpu-limit=$CPU_LIMIT
      echo uid=$(id -u)
      touch /shared/done
      exec sleep 100000
    env:
    - {name: PLAIN, value: value}
    - {name: EXPANDED, value: $(PLAIN)-and-more}
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: colours, key: colour}}}
    - {name: KEY, valueFrom: {secretKeyRef: {name: keys, key: key}}}
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: CPU_LIMIT, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: "1", memory: 64Mi}}
    readinessProbe: {exec: {command: [test, -e, /shared/done]}, periodSeconds: 1}
    volumeMounts:
    - {name: shared, mountPath: /shared}
    - {name: config, mountPath: /config}
    - {name: keys, mountPath: /keys}
  - name: second
    image: busybox:1.36
    command: [sleep, "100000"]
    resources: {requests: {cpu: 10m, memory: 16Mi}}
  volumes:
  - {name: shared, emptyDir: {}}
  - {name: config, configMap: {name: colours}}
  - {name: keys, secret: {secretName: keys}}
`

const lifecycleManifest = `
apiVersion: v1
kind: Pod
metadata: {name: completes, labels: {test: lifecycle}}
spec:
  restartPolicy: Never
  containers: [{name: c, image: "busybox:1.36", command: [sh, -c, exit 0], resources: {requests: {cpu: 10m, memory: 16Mi}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: fails, labels: {test: lifecycle}}
spec:
  restartPolicy: Never
  containers: [{name: c, image: "busybox:1.36", command: [sh, -c, exit 3], resources: {requests: {cpu: 10m, memory: 16Mi}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: crashes, labels: {test: lifecycle}}
spec:
  containers: [{name: c, image: "busybox:1.36", command: [sh, -c, sleep 1; exit 1], resources: {requests: {cpu: 10m, memory: 16Mi}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: oom, labels: {test: lifecycle}}
spec:
  restartPolicy: Never
  containers: [{name: c, image: "busybox:1.36", command: [sh, -c, 'x=x; while true; do x=$x$x; done'], resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 32Mi}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: bad-init, labels: {test: lifecycle}}
spec:
  restartPolicy: Never
  initContainers: [{name: i, image: "busybox:1.36", command: [sh, -c, exit 1], resources: {requests: {cpu: 10m, memory: 16Mi}}}]
  containers: [{name: c, image: "busybox:1.36", command: [sleep, "1000"], resources: {requests: {cpu: 10m, memory: 16Mi}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: unready, labels: {test: lifecycle}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: busybox:1.36
    command: [sleep, "1000"]
    readinessProbe: {tcpSocket: {port: 9}, periodSeconds: 1}
    resources: {requests: {cpu: 10m, memory: 16Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: unhealthy, labels: {test: lifecycle}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: busybox:1.36
    command: [sleep, "1000"]
    livenessProbe: {exec: {command: ["false"]}, periodSeconds: 1, failureThreshold: 2}
    resources: {requests: {cpu: 10m, memory: 16Mi}}
`

const refusalsManifest = `
apiVersion: v1
kind: Pod
metadata: {name: huge}
spec:
  containers: [{name: c, image: "busybox:1.36", command: [sleep, "1000"], resources: {requests: {cpu: "1000"}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: unsupported}
spec:
  containers: [{name: c, image: "busybox:1.36", command: [sleep, "1000"], resources: {requests: {cpu: 10m, memory: 16Mi}}}]
  volumes: [{name: v, nfs: {server: 192.0.2.1, path: /x}}]
`

// bareManifest is a pod that no controller would make anew.
const bareManifest = `
apiVersion: v1
kind: Pod
metadata: {name: bare}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "busybox:1.36", command: [sleep, "100000"], resources: {requests: {cpu: 10m, memory: 16Mi}}}]
`
