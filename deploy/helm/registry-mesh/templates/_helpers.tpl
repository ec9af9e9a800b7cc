{{- define "mesh.name" -}}{{ default .Release.Name .Values.name | trunc 50 | trimSuffix "-" }}{{- end }}
{{- define "mesh.labels" -}}
app.kubernetes.io/name: registry-mesh
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .Values.role }}
{{- end }}
{{- define "mesh.admin" -}}{{ default (printf "%s-admin" (include "mesh.name" .)) .Values.admin.existingSecret }}{{- end }}
{{- /* One pod on a bucket has nothing of its own. Several know each other by name, which only a StatefulSet gives. */ -}}
{{- define "mesh.kind" -}}
{{ ternary "Deployment" "StatefulSet" (and (eq .Values.role "site") (ne .Values.storage.s3.bucket "") (le (int (include "mesh.most" .)) 1)) }}
{{- end }}
{{- define "mesh.adminScheme" -}}{{ ternary "https" "http" (ne .Values.admin.tls.existingSecret "") }}{{- end }}
{{- define "mesh.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}
{{- define "mesh.tls" -}}
{{ with .Values.tls.existingSecret }}{{ . }}{{ else }}{{ with .Values.tls.certManager.issuer }}{{ include "mesh.name" $ }}-tls{{ end }}{{ end }}
{{- end }}
{{- define "mesh.scheme" -}}{{ ternary "https" "http" (ne (include "mesh.tls" .) "") }}{{- end }}
{{- define "mesh.most" -}}{{ ternary .Values.autoscaling.max .Values.replicas .Values.autoscaling.enabled }}{{- end }}
{{- /* The files of a folder: what is inline, and those of the first chart, which named them right there. */ -}}
{{- define "mesh.rules" -}}{{ toYaml (merge (deepCopy .Values.rules.inline) (omit .Values.rules "existingConfigMap" "inline")) }}{{- end }}
{{- define "mesh.hasRules" -}}{{ if or .Values.rules.existingConfigMap (ne (include "mesh.rules" .) "{}") }}yes{{ end }}{{- end }}
{{- define "mesh.hasPolicy" -}}{{ if or .Values.policy.existingConfigMap .Values.policy.inline }}yes{{ end }}{{- end }}
{{- define "mesh.monitor" -}}{{ toYaml (mergeOverwrite (deepCopy .Values.metrics.serviceMonitor) (default dict .Values.serviceMonitor)) }}{{- end }}
{{- define "mesh.quota" -}}
{{- $size := .Values.storage.size -}}
{{- if .Values.storage.s3.bucket -}}{{- $size = default $size .Values.storage.s3.spool -}}{{- end -}}
{{- $units := dict "Mi" 1 "Gi" 1024 "Ti" 1048576 -}}
{{- $unit := regexFind "[A-Z]i$" $size -}}
{{- $count := trimSuffix $unit $size -}}
{{- printf "%dMiB" (int (floor (mulf $count (get $units $unit) .Values.storage.quotaShare))) -}}
{{- end }}
{{- define "mesh.config" -}}
{{- $config := dict "role" .Values.role "name" (include "mesh.name" .) "drain" .Values.drain -}}
{{- $listen := dict "address" "0.0.0.0" "port" 5000 -}}
{{- if include "mesh.tls" . -}}
{{- $_ := set $listen "tls" (dict "certificate" "/tls/tls.crt" "key" "/tls/tls.key") -}}
{{- end -}}
{{- $_ := set $config "listen" $listen -}}
{{- $admin := dict "address" "0.0.0.0" "port" 5001 "users" "/admin/users" -}}
{{- if .Values.admin.tls.existingSecret -}}
{{- $tls := dict "certificate" "/admin-tls/tls.crt" "key" "/admin-tls/tls.key" -}}
{{- if .Values.admin.tls.clients -}}{{- $_ := set $tls "clients" "/admin-clients/ca.crt" -}}{{- $_ := set $tls "names" .Values.admin.tls.names -}}{{- end -}}
{{- $_ := set $admin "tls" $tls -}}
{{- end -}}
{{- $_ := set $config "admin" $admin -}}
{{- if .Values.storage.s3.bucket -}}
{{- $s3 := dict "bucket" .Values.storage.s3.bucket "spool" (dict "path" "/store/spool" "quota" (include "mesh.quota" .)) -}}
{{- range $key := list "endpoint" "region" "prefix" -}}
{{- with get $.Values.storage.s3 $key -}}{{- $_ := set $s3 $key . -}}{{- end -}}
{{- end -}}
{{- $_ := set $config "store" (dict "s3" $s3) -}}
{{- else -}}
{{- $_ := set $config "store" (dict "disk" (dict "path" "/store/data" "quota" (include "mesh.quota" .))) -}}
{{- end -}}
{{- if eq .Values.role "origin" -}}
{{- if .Values.registry -}}{{- $_ := set $config "registry" .Values.registry -}}{{- end -}}
{{- else -}}
{{- if not .Values.registries -}}{{- fail "registries: name at least one, with its parents" -}}{{- end -}}
{{- $registries := deepCopy .Values.registries -}}
{{- range $host, $secret := .Values.credentials -}}
{{- if not (hasKey $registries $host) -}}{{- fail (printf "credentials: %s is none of registries" $host) -}}{{- end -}}
{{- $_ := set (get $registries $host) "credentials" (printf "file:/credentials/%s/config.json" (replace ":" "-" $host)) -}}
{{- end -}}
{{- $_ := set $config "registries" $registries -}}
{{- end -}}
{{- if include "mesh.hasRules" . -}}{{- $_ := set $config "rules" "/rules" -}}{{- end -}}
{{- $access := dict -}}
{{- if include "mesh.hasPolicy" . -}}{{- $_ := set $access "policies" "/policies" -}}{{- end -}}
{{- if .Values.access.existingSecret -}}
{{- $_ := set $access "users" "/access/users" -}}
{{- $tokens := dict -}}
{{- if gt (int (include "mesh.most" .)) 1 -}}{{- $_ := set $tokens "key" "/access/token.key" -}}{{- end -}}
{{- if and .Values.ingress.enabled .Values.ingress.tlsSecret -}}{{- $_ := set $tokens "realm" (printf "https://%s/token" .Values.ingress.host) -}}{{- end -}}
{{- if $tokens -}}{{- $_ := set $access "tokens" $tokens -}}{{- end -}}
{{- end -}}
{{- if $access -}}{{- $_ := set $config "access" $access -}}{{- end -}}
{{- if and (eq .Values.role "site") (gt (int (include "mesh.most" .)) 1) -}}
{{- $name := include "mesh.name" . -}}
{{- $nodes := dict -}}
{{- range $i := until (int (include "mesh.most" .)) -}}
{{- $_ := set $nodes (printf "%s-%d" $name $i) (printf "%s://%s-%d.%s-admin:5000" (include "mesh.scheme" $) $name $i $name) -}}
{{- end -}}
{{- $_ := set $config "siblings" (dict "nodes" $nodes) -}}
{{- $_ := unset $config "name" -}}
{{- end -}}
{{- toYaml (mustMergeOverwrite $config (deepCopy .Values.config)) -}}
{{- end }}
