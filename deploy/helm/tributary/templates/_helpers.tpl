{{- define "tributary.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "tributary.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "tributary.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "tributary.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end }}

{{- define "tributary.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tributary.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tributary.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "tributary.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
The image of a half. In: root, half (its values). A tag of its own counts without the common digest.
*/}}
{{- define "tributary.image" -}}
{{- $common := .root.Values.image -}}
{{- $own := default (dict) .half.image -}}
{{- $repository := default $common.repository $own.repository -}}
{{- with (default (dict) .root.Values.global).imageRegistry -}}
{{- $host := first (splitList "/" $repository) -}}
{{- if and (contains "/" $repository) (regexMatch "[.:]|^localhost$" $host) -}}
{{- $repository = trimPrefix (printf "%s/" $host) $repository -}}
{{- end -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{- $digest := default (ternary "" $common.digest (not (empty $own.tag))) $own.digest -}}
{{- printf "%s:%s" $repository (coalesce $own.tag $common.tag .root.Chart.AppVersion) -}}
{{- with $digest -}}@{{ . }}{{- end -}}
{{- end }}

{{/* Ports that are not given: with the host's network, some that other programs of nodes do not use. */}}
{{- define "tributary.adminPort" -}}
{{- int (default (ternary 10280 8080 .Values.hostNetwork.enabled) .Values.scraper.adminPort) -}}
{{- end }}

{{- define "tributary.busPort" -}}
{{- int (default (ternary 10281 8443 .Values.hostNetwork.enabled) .Values.bus.port) -}}
{{- end }}

{{/* The families of addresses that a Service has. In: the root. */}}
{{- define "tributary.families" -}}
{{- with .Values.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.service.ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* How many pods may be away at once. In: the root. */}}
{{- define "tributary.disruption" -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- if not (kindIs "invalid" $budget.minAvailable) -}}
minAvailable: {{ $budget.minAvailable }}
{{- else -}}
maxUnavailable: {{ ternary 1 $budget.maxUnavailable (kindIs "invalid" $budget.maxUnavailable) }}
{{- end }}
{{- with $budget.unhealthyPodEvictionPolicy }}
unhealthyPodEvictionPolicy: {{ . }}
{{- end }}
{{- end }}

{{/* Whether samples travel over TCP: not in a lone pod. */}}
{{- define "tributary.overTcp" -}}
{{- if or (eq .Values.profile "ha") (gt (int .Values.replicas) 1) -}}true{{- end -}}
{{- end }}

{{- define "tributary.serviceAccountName" -}}
{{- $own := include "tributary.fullname" . -}}
{{- if .Values.serviceAccount.create -}}
{{- default $own .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* The name for which the serving certificate is, and which kube-apiserver and scrapers verify. */}}
{{- define "tributary.serverName" -}}
{{- printf "%s.%s.svc" (include "tributary.fullname" .) (include "tributary.namespace" .) -}}
{{- end }}

{{- define "tributary.certificateSecret" -}}
{{- if eq .Values.tls.type "existingSecret" -}}
{{- .Values.tls.existingSecret.name -}}
{{- else if eq .Values.tls.type "auto" -}}
{{- printf "%s-serving" (include "tributary.fullname" .) -}}
{{- else -}}
{{- printf "%s-tls" (include "tributary.fullname" .) -}}
{{- end -}}
{{- end }}

{{/*
With tls.type auto: the secret of another tls.type, as long as frontends have not taken over its certificate. Pods of before
mount it, and trust nothing else. Empty without a cluster.
*/}}
{{- define "tributary.adopted" -}}
{{- if eq .Values.tls.type "auto" -}}
{{- $namespace := include "tributary.namespace" . -}}
{{- $name := printf "%s-tls" (include "tributary.fullname" .) -}}
{{- $serving := default dict (lookup "v1" "Secret" $namespace (include "tributary.certificateSecret" .)) -}}
{{- $data := default dict (default dict (lookup "v1" "Secret" $namespace $name)).data -}}
{{- $complete := and (hasKey $data "tls.crt") (hasKey $data "tls.key") (hasKey $data "ca.crt") -}}
{{- if and $complete (not (dig "data" "tls.crt" "" $serving)) -}}
{{- $name -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Where scrapers find the CA of frontends: a projected source. */}}
{{- define "tributary.caSource" -}}
{{- if eq .Values.tls.type "auto" -}}
configMap:
  name: {{ include "tributary.fullname" . }}-ca
  # Frontends write it. Scrapers wait for it.
  optional: true
  items: [{ key: ca.crt, path: ca.crt }]
{{- else if and .Values.apiService.caBundle (eq .Values.tls.type "existingSecret") -}}
configMap:
  name: {{ include "tributary.fullname" . }}-ca
  items: [{ key: ca.crt, path: ca.crt }]
{{- else -}}
secret:
  name: {{ include "tributary.certificateSecret" . }}
  items: [{ key: ca.crt, path: ca.crt }]
{{- end -}}
{{- end }}

{{/*
Pods of a kind apart, where that is possible. In: root, labels (what pods of the kind have), values (affinity or
topologySpreadConstraints of the user).
*/}}
{{- define "tributary.affinity" -}}
{{- with .affinity -}}
{{ toYaml . }}
{{- else -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- .labels | nindent 12 }}
{{- end -}}
{{- end }}

{{- define "tributary.spread" -}}
{{- with .spread -}}
{{ toYaml . }}
{{- else -}}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- .labels | nindent 6 }}
{{- end -}}
{{- end }}

{{/* What every pod has, whichever half. In: the root. */}}
{{- define "tributary.podSpec" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- if .Values.hostNetwork.enabled }}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
{{- if and (semverCompare ">=1.33-0" .Capabilities.KubeVersion.Version) (not (kindIs "invalid" .Values.hostUsers)) }}
hostUsers: {{ .Values.hostUsers }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The name of the pod, by which the other half and the leases know it. With the host's network, HOSTNAME is the node's. */}}
{{- define "tributary.env" -}}
- name: HOSTNAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- if contains "$(POD_IP)" .Values.bindAddress }}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- end }}
{{- end }}

{{/*
Fails for values that the chart does not have. In: at (the path so far), given, known (files/keys.yaml, written from the
schema).
*/}}
{{- define "tributary.checkKeys" -}}
{{- $at := .at -}}
{{- $known := .known -}}
{{- $hints := dict "extraArgs" "write args, frontend.args or scraper.args" "podDisruptionBudget.apiVersion" "there is one version since Kubernetes 1.25" -}}
{{- range $key, $value := .given -}}
{{- $path := printf "%s%s" $at $key -}}
{{- if not (hasKey $known $key) -}}
{{- $hint := get $hints $path -}}
{{- if not $hint -}}
{{- with include "tributary.nearest" (dict "key" $key "known" (keys $known)) -}}
{{- $hint = printf "did you mean %s%s?" $at . -}}
{{- end -}}
{{- end -}}
{{- if not $hint -}}
{{- $hint = ternary (printf "there are %s" (keys $known | sortAlpha | join ", ")) "values.yaml has all" (ne $at "") -}}
{{- end -}}
{{- fail (printf "%s: there is no such value; %s" $path $hint) -}}
{{- end -}}
{{- if and (kindIs "map" (get $known $key)) (kindIs "map" $value) -}}
{{- include "tributary.checkKeys" (dict "at" (printf "%s." $path) "given" $value "known" (get $known $key)) -}}
{{- end -}}
{{- end -}}
{{- end }}
