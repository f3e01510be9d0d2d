{{- define "tributary.frontendContainer" -}}
- name: frontend
  image: {{ include "tributary.image" (dict "root" . "half" .Values.frontend) | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [/usr/bin/tributary-apiserver]
  args:
    {{- include "tributary.frontendArgs" . | nindent 4 }}
  env:
    {{- include "tributary.env" . | nindent 4 }}
  ports:
    - name: https
      containerPort: {{ .Values.containerPort }}
      protocol: TCP
    {{- if include "tributary.overTcp" . }}
    - name: bus
      containerPort: {{ include "tributary.busPort" . }}
      protocol: TCP
    {{- end }}
  {{- with .Values.startupProbe }}
  startupProbe:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.livenessProbe }}
  livenessProbe:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.readinessProbe }}
  readinessProbe:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  {{- with default .Values.resources .Values.frontend.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "tributary.frontendMounts" . | trim }}
  volumeMounts:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "tributary.frontendMounts" -}}
{{- if eq .Values.tls.type "metrics-server" }}
- name: tmp
  mountPath: /tmp
{{- else if ne .Values.tls.type "auto" }}
- name: tls
  mountPath: /etc/tributary/tls
  readOnly: true
{{- end }}
{{- if not (include "tributary.overTcp" .) }}
- name: bus
  mountPath: /run/tributary
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* In: root, group (may be empty). */}}
{{- define "tributary.scraperContainer" -}}
{{- $root := .root -}}
{{- $v := $root.Values -}}
{{- $group := default (dict) .group -}}
- name: scraper
  image: {{ include "tributary.image" (dict "root" $root "half" $v.scraper) | quote }}
  imagePullPolicy: {{ $v.image.pullPolicy }}
  command: [/usr/bin/tributary-scraper]
  args:
    {{- include "tributary.scraperArgs" . | nindent 4 }}
  env:
    {{- include "tributary.env" $root | nindent 4 }}
    {{- if include "tributary.overTcp" $root }}
    # Whose Lease it is: Kubernetes deletes it with the pod.
    - name: POD_UID
      valueFrom:
        fieldRef:
          fieldPath: metadata.uid
    {{- end }}
  ports:
    - name: admin
      containerPort: {{ include "tributary.adminPort" $root }}
      protocol: TCP
  startupProbe:
    httpGet: { path: /livez, port: admin }
    periodSeconds: 2
    failureThreshold: 60
  livenessProbe:
    httpGet: { path: /livez, port: admin }
    periodSeconds: 10
    failureThreshold: 3
  readinessProbe:
    httpGet: { path: /readyz, port: admin }
    periodSeconds: 5
    failureThreshold: 3
  securityContext:
    {{- toYaml $v.securityContext | nindent 4 }}
  {{- with default (default $v.resources $v.scraper.resources) $group.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    {{- if include "tributary.overTcp" $root }}
    - name: bus-credentials
      mountPath: /var/run/secrets/tributary
      readOnly: true
    {{- else }}
    - name: bus
      mountPath: /run/tributary
    {{- end }}
    {{- with $v.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "tributary.frontendVolumes" -}}
{{- if eq .Values.tls.type "metrics-server" }}
- name: tmp
  {{- toYaml .Values.tmpVolume | nindent 2 }}
{{- else if ne .Values.tls.type "auto" }}
- name: tls
  secret:
    secretName: {{ include "tributary.certificateSecret" . }}
    items:
      - { key: tls.crt, path: tls.crt }
      - { key: tls.key, path: tls.key }
{{- end }}
{{- if not (include "tributary.overTcp" .) }}
- name: bus
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- end }}
{{- end }}

{{/* What a scraper shows frontends, and by what it knows them. */}}
{{- define "tributary.scraperVolumes" -}}
{{- if include "tributary.overTcp" . }}
- name: bus-credentials
  projected:
    sources:
      - serviceAccountToken:
          audience: tributary-bus
          expirationSeconds: {{ .Values.bus.tokenExpirationSeconds }}
          path: bus-token
      - {{ include "tributary.caSource" . | nindent 8 | trim }}
{{- end }}
{{- end }}
