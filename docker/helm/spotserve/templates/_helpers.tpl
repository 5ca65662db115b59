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
