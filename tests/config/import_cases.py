"""One file of each tool, and what its entries become: `FROM REPOS TAGS KEYS`, `! SENTENCE`, parents, denials."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

A = "sha256:" + "a" * 64
B = "sha256:" + "b" * 64
PODS = (
    "which pods' images are rewritten is Kubernetes' business: rules name registries, repositories and tags"
)

CASES = {
    "ducc": (
        f"""\
version: 1
output_format: 'https://r.example/$(image)'
input:
  - 'https://registry.hub.docker.com/library/alma:9'
  - 'https://registry.hub.docker.com/alma:9'
  - 'https://reg.example:5000/lhc/sim:v*'
  - 'https://reg.example/lhc/sim:1.*'
  - 'https://reg.example/lhc/gen@{A}'
  - 'https://reg.example/lhc/plain'
  - {{apptainer_def: 'x.def'}}
""",
        [
            'docker.io library/alma "9"',
            "! said twice: https://registry.hub.docker.com/library/alma:9 says the same",
            'reg.example:5000 lhc/sim "v*"',
            'reg.example lhc/sim "re: 1..*"',
            f'reg.example lhc/gen "@{A}"',
            "reg.example lhc/plain latest",
            "! input[6].apptainer_def: built from a definition file; rules copy what a registry has",
        ],
    ),
    "harbor": (
        """\
[{"name": "nightly", "src_registry": {"id": 7}, "dest_namespace": "mirror", "dest_namespace_replace_count": -1,
  "trigger": {"type": "scheduled", "trigger_settings": {"cron": "0 0 2 * * *"}}, "deletion": true, "override": false,
  "filters": [{"type": "name", "value": "apps/**"}, {"type": "tag", "decoration": "excludes", "value": "*-dev"},
              {"type": "resource", "value": "image"}]},
 {"name": "out", "dest_registry": {"id": 7}, "dest_namespace_replace_count": 0, "trigger": {"type": "manual"}},
 {"name": "labelled", "src_registry": {"id": 7}, "filters": [{"type": "label", "value": "x"}]},
 {"name": "where", "src_registry": {"id": 9}}]
""",
        [
            'quay.io "apps/**" ["*", "!*-dev"] types: [image], to: "mirror/{base}", every: "cron 0 2 * * * UTC", delete: {gone: "0s"}, fixed: "*"',
            'harbor.example "**" "*" to: {registry: "quay.io", name: "{repo}"}, every: manual',
            "! filters[0]: Harbor's own labels are not in the image; put an annotation on it and match that",
            "! which host is registry 9? Say --registry 9=HOST",
        ],
    ),
    "zot": (
        """\
{"extensions": {"sync": {"registries": [
  {"urls": ["https://up.example:5000", "https://other.example"], "pollInterval": "6h", "content": [
    {"prefix": "/base/**", "destination": "/m", "stripPrefix": true, "tags": {"regex": "4.*", "semver": true}},
    {"prefix": "base/x", "tags": {"excludeRegex": ".*-(amd64|arm64)$"}},
    {"prefix": "none", "tags": {"regex": ""}},
    {"prefix": "te*/x", "destination": "/m", "stripPrefix": true}]},
  {"urls": ["https://lazy.example"], "onDemand": true}]}}, "storage": {"retention": {"delay": "1h"}}}
""",
        [
            'up.example:5000 [base, "base/**"] ["re: .*4.* & semver+: *", "!*_*"] every: "6h", to: "m/{repo[1:]}"',
            'up.example:5000 ["base/x", "!base", "!base/**"] ["*", "!re: .*-(amd64|arm64)"] every: "6h"',
            "! an empty tags.regex takes no tag at all",
            "! stripPrefix in the middle of a segment",
            'lazy.example "**" "*" data: "on-demand"',
            "! keep stands in the rule that brings the tags",
        ],
    ),
    "regsync": (
        """\
defaults: {interval: 60m}
sync:
  - {source: alpine, target: r.example/alpine, type: repository, tags: {allow: [latest, 'v1\\..*|x'], deny: ['.*-rc']}}
  - {source: quay.io/a/b:1, target: r.example/b:one, type: image, referrers: true, platform: linux/amd64}
  - {source: quay.io/a/c, target: r.example/c, tags: {semverRange: ['>=1.2'], allow: ['[^-]+']}}
  - {source: 'quay.io/{{ env "X" }}', target: r.example/c}
  - {source: quay.io/a/d, target: r.example/d, hooks: {pre: x}}
  - {source: quay.io/a/e, target: r.example/e, referrerSource: quay.io/a/f}
""",
        [
            'docker.io library/alpine [latest, "re: (?:v1\\\\..*|.*x)", "!re: .*-rc"] every: "60m", with: none, to: {registry: "r.example", name: alpine}',
            'quay.io a/b "1" every: "60m", platforms: "linux/amd64", to: {registry: "r.example", name: b, tag: one}',
            'quay.io a/c ["semver+: >=1.2 & re: [^-]+", "!*_*"] every: "60m", with: none, to: {registry: "r.example", name: c}',
            "! source: a template: rules read no environment; run `regsync config` and import what it prints",
            "! sync[4].hooks: rules run nothing",
            "! sync[5].referrerSource: companions are looked for beside their image only",
        ],
    ),
    "skopeo": (
        f"""\
quay.io:
  images: {{a/b: ["1.0", "{A}"], a/all: []}}
  images-by-tag-regex: {{a/c: '^v[0-9]+$', a/d: 'rc', a/e: '\\bx'}}
  images-by-semver: {{a/f: '>= 1.2 < 2', a/g: '>= 3.5.4-0', a/h: '1.2 - 1.4', a/i: '!= 1.0'}}
""",
        [
            f'quay.io a/b ["1.0", "@{A}"]',
            'quay.io a/all "*"',
            'quay.io a/f ["semver: >= 1.2 < 2", "!*_*"]',
            'quay.io a/g ["semver+: >= 3.5.4-0", "!*_*"]',
            'quay.io a/h ["semver: >=1.2 <=1.4", "!*_*"]',
            "! images-by-semver: != 1.0: write an excluding pattern",
            'quay.io a/c "re: v[0-9]+"',
            'quay.io a/d "re: .*rc.*"',
            "! images-by-tag-regex: \\bx: \\b is not offered (only \\d \\D \\w \\W and escaped punctuation)",
        ],
    ),
    "dregsy": (
        """\
tasks:
  - name: t
    interval: 21600
    source: {registry: registry.hub.docker.com}
    target: {registry: r.example}
    mappings:
      - {from: busybox, to: mirror/busybox, platform: all, tags: [glibc, 'semver: >=1.33 <2', 'keep: latest 5']}
      - {from: busybox, to: mirror/musl, platform: linux/arm64, tags: ['regex: !.+(glibc|musl)']}
      - {from: 'regex:a/(.*)', to: b}
      - {from: x, to: y, platform: all, tags: [one, 'regex: v1\\..*|x']}
""",
        [
            'docker.io library/busybox [glibc, "semver+: >=1.33 <2 & re: [^_]*"] every: "6h", to: {registry: "r.example", name: "mirror/busybox"}, keep: 5',
            'docker.io library/busybox ["*", "!re: .+(glibc|musl)"] every: "6h", to: {registry: "r.example", name: "mirror/musl"}, platforms: "linux/arm64"',
            "! from: groups of an expression; templates know folders only",
            'docker.io library/x [one, "re: (?:v1\\\\..*|.*x)"] every: "6h", to: {registry: "r.example", name: y}',
        ],
    ),
    "image-syncer": (
        f"""\
quay.io/a/b: r.example/a/b
quay.io/a/b:v1,v2: [r.example/x, s.example/y]
quay.io/a/b@{A}: r.example/z
quay.io/a/b:/^v[0-9]+$/: r.example/r
quay.io/a/b:1,2: r.example/a/b:x,y
""",
        [
            'quay.io a/b "*" to: {registry: "r.example", name: "a/b"}',
            'quay.io a/b ["v1", "v2"] to: [{registry: "r.example", name: x}, {registry: "s.example", name: y}]',
            f'quay.io a/b "@{A}" to: {{registry: "r.example", name: z}}',
            'quay.io a/b "re: v[0-9]+" to: {registry: "r.example", name: r}',
            "! several new tags for several old ones: write a rule for each",
        ],
    ),
    "oc-mirror": (
        """\
kind: ImageSetConfiguration
mirror:
  platform: {channels: [{name: stable-4.18}]}
  operators: [{catalog: 'r.example/index:v4'}]
  blockedImages: [{name: 'x.*'}]
  helm: {repositories: [{name: h, url: 'https://h', charts: [{name: c}]}]}
  additionalImages:
    - {name: 'docker://quay.io/a/b:1', targetRepo: new/b, targetTag: one}
    - {name: quay.io/a/c}
    - {name: 'oci:///tmp/x'}
""",
        [
            "! releases are found in an update graph, which rules do not ask; let oc-mirror write mapping.txt and import that",
            "! packages are found in an update graph, which rules do not ask; let oc-mirror write mapping.txt and import that",
            "! an expression over whole references: write it as !patterns of repos or tags",
            "! a chart repository of the old kind (index.yaml): only charts in registries are taken",
            'quay.io a/b "1" to: {name: "new/b", tag: one}',
            "quay.io a/c latest",
            "! a layout on a disk; rules copy what a registry has",
        ],
    ),
    "hauler": (
        """\
kind: Images
spec: {images: [{name: 'ghcr.io/a/b:1', platform: linux/amd64}, {name: ghcr.io/a/c, key: c.pub}]}
---
kind: Images
metadata: {annotations: {hauler.dev/platform: linux/arm64, hauler.dev/exclude-extras: "true"}}
spec: {images: [{name: 'ghcr.io/a/d:1', platform: all}, {name: 'ghcr.io/a/e:1', exclude-extras: false}]}
---
kind: Charts
spec: {charts: [{name: c, repoURL: 'oci://ghcr.io/charts', version: 1.2.0+up1}, {name: d, repoURL: 'oci://ghcr.io/charts'}, {name: e, repoURL: 'https://x'}]}
---
kind: Files
spec: {files: [{path: 'https://x/y'}]}
""",
        [
            'ghcr.io a/b "1" platforms: "linux/amd64"',
            'ghcr.io a/c latest verify: "hauler-a-c"',
            'ghcr.io a/d "1" with: none',
            'ghcr.io a/e "1" platforms: "linux/arm64"',
            'ghcr.io charts/c "1.2.0_up1" types: chart',
            'ghcr.io charts/d "semver: *" types: chart, keep: 1',
            "! a chart repository of the old kind (index.yaml): only charts in registries are taken",
            "! a file from the web or a disk: rules ask registries only",
        ],
    ),
    "quay": (
        """\
[{"external_reference": "quay.io/repository/a/b", "sync_interval": 86400, "root_rule": {"rule_kind": "tag_glob_csv", "rule_value": ["v1*", "latest"]}},
 {"external_registry_url": "https://h.example", "external_namespace": "p", "repository_filters": ["ubuntu*"], "architecture_filter": ["amd64"]},
 {"external_reference": "quay.io/a/c", "root_rule": {"rule": "x", "rule_type": "y"}}]
""",
        [
            'quay.io a/b ["v1*", latest] every: "1d", delete: {unselected: "0s"}',
            'h.example "p/ubuntu**" "*" platforms: ["linux/amd64"], delete: {unselected: "0s"}',
            "! Quay takes rule_kind and rule_value",
        ],
    ),
    "ecr": (
        """\
resource "aws_ecr_pull_through_cache_rule" "hub" {
  ecr_repository_prefix = "docker-hub"
  upstream_registry_url = "registry-1.docker.io"
}
resource "aws_ecr_pull_through_cache_rule" "each" {
  ecr_repository_prefix = each.key
  upstream_registry_url = each.value
}
resource "aws_ecr_repository_creation_template" "t" {
  lifecycle_policy = jsonencode({})
}
""",
        [
            'docker.io "**" "*" data: "on-demand", to: "docker-hub/{repo}"',
            "! ecr_repository_prefix = each.key: Terraform variables: run terraform show -json and import that",
            "! expiry: the cache evicts by use and quota",
        ],
    ),
    "kuik": (
        """\
apiVersion: kuik.enix.io/v1alpha1
kind: CachedImage
metadata: {name: a}
spec: {sourceImage: 'nginx:1.27', retain: true}
---
apiVersion: kuik.enix.io/v1alpha1
kind: Repository
metadata: {name: p}
spec: {name: quay.io/lhc/sim, updateInterval: 1h, updateFilters: [latest, ':\\d+$'], pullSecretNames: [s]}
---
kind: Repository
spec: {name: quay.io/lhc/gen}
---
kind: ClusterImageSetMirror
metadata: {name: m}
spec:
  imageFilter: {include: ['docker\\.io/library/nginx:.+', 'docker.io/library/redis:.*'], exclude: ['docker.io/.*/nginx:.*']}
  mirrors: [{registry: m.example, path: /hub, credentialSecret: {name: x}}]
---
kind: ImageSetMirror
spec: {filter: {include: [{image: '.*'}]}, mirrors: [{registry: m.example}]}
---
kind: ImageSetMirror
spec: {imageFilter: {include: ['quay.io/a/b:.+']}, cleanup: {enabled: true, retention: 1h}, mirrors: [{registry: m.example}]}
---
kind: ClusterReplicatedImageSet
spec:
  upstreams:
  - {registry: docker.io, path: /, imageFilter: {include: ['.*']}}
  - {registry: h.example, path: /hub, priority: -1, imageFilter: {include: ['.*']}}
---
kind: Pod
metadata: {labels: {kube-image-keeper.enix.io/image-caching-policy: ignore}}
---
kind: Deployment
""",
        [
            'docker.io library/nginx "1.27" hold: forever',
            'quay.io lhc/sim ["re: .*latest.*", "re: \\\\d+"] every: "1h"',
            "! no updateFilters: which tags are kept is known from the pods; import its CachedImages",
            'docker.io ["library/nginx", "library/redis", "!re: .*/nginx"] "*" to: {registry: "m.example", name: "hub/{repo}"}',
            "! imageFilter: .*: all images that pods use: a rule names a registry and repositories; write HOST/REPOSITORY:TAGS",
            'quay.io a/b "*" to: {registry: "m.example", name: "{repo}"}',
            'docker.io parents: [["https://h.example/v2/hub"], ["https://registry-1.docker.io"]]',
            "! image-caching-policy: ignore: pods that are left out; exclude the repositories with !PATTERN",
            f"! {PODS}",
        ],
    ),
    "registries.conf": (
        """\
unqualified-search-registries = ["docker.io"]
short-name-mode = "enforcing"

[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "m.example:5000/quay"
[[registry.mirror]]
location = "n.example"
insecure = true
pull-from-mirror = "digest-only"

[[registry]]
location = "bad.example/evil"
blocked = true

[[registry]]
prefix = "*.example"
location = "x.example"

[[registry]]
location = "part.example/a"

[aliases]
"fedora" = "registry.fedoraproject.org/fedora"
""",
        [
            'quay.io parents: [["https://m.example:5000/v2/quay"], ["http://n.example"], ["https://quay.io"]]',
            'deny bad.example ["evil", "evil/**"] note: "blocked in registries.conf"',
            "! *.example: name each registry, for parents are of one",
            "! part.example/a: parents are of a whole registry, and part.example/a is asked for a of part.example alone; where all of part.example is there under the same names, write registries.part.example.parents: [[https://part.example]], else a rule that copies",
            "! short names are the client's business: whole names are asked for here; write registry.fedoraproject.org/fedora",
            'docker.io default: true parents: [["https://registry-1.docker.io"]]',
        ],
    ),
    "hosts.toml": (
        """\
server = "https://docker.io"
[host."https://m.example:5000"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/m.pem"
[host."https://h.example/v2/hub"]
  override_path = true
  client = [["/c.pem", "/k.pem"]]
""",
        ['docker.io parents: [["https://m.example:5000"], ["https://h.example/v2/hub"], ["https://registry-1.docker.io"]] ca: "/etc/m.pem", certificate: "/c.pem", key: "/k.pem", ns: always'],
    ),
    "mirror-sets": (
        """\
kind: ImageDigestMirrorSet
metadata: {name: d}
spec:
  imageDigestMirrors:
  - {source: quay.io, mirrors: [m.example/quay], mirrorSourcePolicy: NeverContactSource}
  - {source: quay.io/ns, mirrors: [m.example/ns]}
---
kind: List
items:
- {kind: ImageContentSourcePolicy, spec: {repositoryDigestMirrors: [{source: r.example, mirrors: [n.example]}]}}
- {kind: Image, spec: {registrySources: {blockedRegistries: [bad.example]}}}
- {kind: Pod}
""",
        [
            'quay.io parents: [["https://m.example/v2/quay"]]',
            "! quay.io/ns: parents are of a whole registry, and m.example/ns is asked for ns of quay.io alone; where all of quay.io is there under the same names, write registries.quay.io.parents: [[https://m.example]], else a rule that copies",
            'r.example parents: [["https://n.example"], ["https://r.example"]]',
            'deny bad.example "**" note: "blocked in the cluster"',
            "! kind: one of ImageDigestMirrorSet, ImageTagMirrorSet, ImageContentPolicy, ImageContentSourcePolicy, Image",
        ],
    ),
    "kpromo": (
        f"""\
registries: [{{name: gcr.io/stage, src: true}}, {{name: eu.gcr.io/prod, service-account: x}}]
images:
- {{name: a, dmap: {{"{A}": [v1, latest], "{B}": []}}}}
- {{name: b, dmap: {{"{A}x": [v1]}}}}
""",
        [
            f'gcr.io "stage/a" ["v1@{A}", "latest@{A}", "@{B}"] to: {{registry: "eu.gcr.io", name: "prod/a"}}',
            f"! dmap: {A}x: a digest and its tags are meant",
        ],
    ),
    "retagger": (
        f"""\
- {{image: alpine, tag_or_pattern: '3.1', override_repo_name: base}}
- {{image: quay.io/a/b, semver: '>= 1.2', strip_semver_prefix: true, add_tag_suffix: x}}
- {{image: quay.io/a/c, semver: '>= 1.2', filter: '^stable-(.*)$'}}
- {{image: quay.io/a/d, semver: '>= 1.2', filter: '^(\\d+\\.\\d+)$'}}
- {{image: quay.io/a/e, semver: '>= 1.2', filter: '(\\d+.*)'}}
- {{image: quay.io/a/f, tag_or_pattern: "1", sha: {"a" * 64}}}
- {{image: quay.io/a/g, semver: '>= 1.2', sha: {"a" * 64}}}
""",
        [
            'docker.io library/alpine "re: .*3.1.*" to: {name: base}',
            'quay.io a/b ["semver: >= 1.2", "!*_*"] to: {name: "{base}", tag: "{version}-x"}',
            'quay.io a/c ["semver: >= 1.2 in stable-*", "!*_*"] to: {name: "{base}"}',
            'quay.io a/d ["semver: >= 1.2 & re: (?:\\\\d+\\\\.\\\\d+)", "!*_*"] to: {name: "{base}"}',
            "! filter: (\\d+.*): the version stands between plain text only, with ^ and $ around, such as ^stable-(.*)$",
            f'quay.io a/f "1@{A}" to: {{name: "{{base}}"}}',
            "! semver beside tag_or_pattern or sha: retagger refuses it; keep one",
        ],
    ),
    "artifact-mirror": (
        f"""\
Repositories: [{{BaseUrl: docker.io/rancher, DefaultTarget: true}}, {{BaseUrl: r.example}}]
Artifacts:
- {{SourceArtifact: a/b, Tags: [1.10, v2], DoNotMirror: [v2]}}
- {{SourceArtifact: quay.io/a/c, Tags: [v1], TargetArtifactName: c, TargetRepositories: [r.example]}}
- {{SourceArtifact: quay.io/a/d, Tags: [v1], DoNotMirror: true}}
images: [{{source: "python@{A}", tag: "3.14"}}, {{source: 'golang:1', amd64Only: true}}]
""",
        [
            'docker.io a/b "1.10" to: {registry: "docker.io", name: "rancher/mirrored-a-b"}',
            'quay.io a/c "v1" to: {registry: "r.example", name: c}',
            "! DoNotMirror: it is not mirrored there: leave it out, or deny it here",
            f'docker.io library/python "@{A}" to: {{name: "{{repo}}", tag: "3.14"}}',
            'docker.io library/golang "1" platforms: "linux/amd64"',
        ],
    ),
    "ocync": (
        """\
registries: {cg: {url: cgr.dev}, e: {url: e.example}, w: {url: w.example}, v: {url: '${HOST}'}}
target_groups: {prod: [e, w]}
defaults:
  source: cg
  targets: prod
  tags: {semver: ">=1.0, <2", semver_prerelease: include, sort: semver, latest: 3, include: [latest], exclude: ['*-debug']}
mappings:
- {from: a/nginx, to: nginx}
- {from: a/python, targets: e, artifacts: {enabled: false}, tags: {glob: ['*-slim', '*-dev'], immutable_tags: 'v*', semver_prerelease: include}}
- {from: a/x, source: v}
- {from: a/y, tags: {sort: alpha, latest: 2}}
""",
        [
            'cgr.dev a/nginx ["semver~: >=1.0  <2", "!*-debug"] to: [{registry: "e.example", name: nginx}, {registry: "w.example", name: nginx}], keep: 3',
            'cgr.dev a/nginx [latest, "!*-debug"] to: [{registry: "e.example", name: nginx}, {registry: "w.example", name: nginx}]',
            'cgr.dev a/python ["*-slim", "*-dev"] to: {registry: "e.example", name: "a/python"}, with: none, fixed: "v*"',
            "! registries.v.url: ${HOST}: variables are not filled in; write the value",
            "! sort: by version is the only order that means something; write semver",
        ],
    ),
    "osg-list": (
        "# comment\nalma:9\nhub.example/htc/x:*\nhub.example/htc/y  # why\nhub.example/htc/z linux/amd64\n",
        [
            'docker.io library/alma "9"',
            'hub.example htc/x "*"',
            "hub.example htc/y latest",
            "! linux/amd64: only a reference stands on a line; write platforms in the rule",
        ],
    ),
    "renovate": (
        """\
{ // the bot
  minimumReleaseAge: '3 days',
  packageRules: [
    {matchDatasources: ['docker'], matchPackageNames: ['quay.io/a/b'], versioning: 'regex:^v(?<major>\\\\d+)$', automerge: true},
    {matchPackageNames: ['python'], versioning: 'pep440'},
    {matchDatasources: ['npm'], matchPackageNames: ['x']},
    {matchPackagePrefixes: ['lscr.io/ls/'], allowedVersions: '<5', minimumReleaseAge: '2 weeks'},
    {matchDatasources: ['docker'], enabled: true},
  ],
}
""",
        [
            'quay.io a/b "re: v(\\\\d+)" age: "3d"',
            "! versioning: pep440: another order of versions: write tags as an expression, semver: or semver+:",
            "! matchDatasources: npm: no images: only the bot's own business",
            'lscr.io "ls/**" "semver~: <5" age: "2w"',
            "! of all packages: name images, for a rule is about repositories",
        ],
    ),
}  # fmt: skip
