{{- define "spotserve.labels" -}}
app.kubernetes.io/name: spotserve
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "spotserve.seeds" -}}
{{- $name := .Release.Name -}}
{{- $namespace := .Release.Namespace -}}
{{- range $i := until (int .Values.control.replicas) }}
- --seed
- "{{ $name }}-control-{{ $i }}.{{ $name }}-control.{{ $namespace }}.svc:5110"
{{- end }}
{{- end }}

{{- /* A node's pod, for the Deployment or for the fleet manager's PodTemplate. */}}
{{- define "spotserve.nodePod" -}}
metadata:
  labels:
    {{- include "spotserve.labels" . | nindent 4 }}
    app.kubernetes.io/component: node
spec:
  automountServiceAccountToken: false
  # SIGTERM is a notice to a node: it needs no preStop hook to leave in order, only the time.
  terminationGracePeriodSeconds: {{ .Values.nodes.graceSeconds }}
  securityContext: { runAsNonRoot: true, runAsUser: 1654 }
  nodeSelector: {{- toYaml .Values.nodes.nodeSelector | nindent 4 }}
  tolerations: {{- toYaml .Values.nodes.tolerations | nindent 4 }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: topology.kubernetes.io/zone
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          app.kubernetes.io/instance: {{ .Release.Name }}
          app.kubernetes.io/component: node
  containers:
    - name: node
      image: {{ .Values.image.node }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        {{- include "spotserve.seeds" . | nindent 8 }}
        - --host
        - $(POD_IP)
        - --model
        - {{ .Values.model.path | quote }}
        - --grace
        - {{ sub (int .Values.nodes.graceSeconds) 5 | quote }}
        {{- with .Values.nodes.args }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      env:
        - name: POD_IP
          valueFrom: { fieldRef: { fieldPath: status.podIP } }
        - name: SPOTSERVE_SECRET
          valueFrom: { secretKeyRef: { name: {{ .Values.secretName }}, key: secret } }
      resources: {{- toYaml .Values.nodes.resources | nindent 8 }}
      volumeMounts:
        - { name: models, mountPath: {{ dir .Values.model.path }}, readOnly: true }
  volumes:
    - name: models
      {{- toYaml .Values.model.volume | nindent 6 }}
{{- end }}
