# Packs a static program as a docker archive with two names: what pods run, and what keeps their sandboxes.
# $1 the program  $2 the archive  $3 a folder to work in
set -eu
mkdir "$3"
cp "$1" "$3/load"
cd "$3"
tar --owner=0 --group=0 -cf layer.tar load
sum=$(sha256sum layer.tar | cut -d' ' -f1)
arch=$(uname -m | sed 's/^x86_64$/amd64/; s/^aarch64$/arm64/')
printf '{"os":"linux","architecture":"%s","config":{"Entrypoint":["/load"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$arch" "$sum" >config.json
printf '[{"Config":"config.json","RepoTags":["localhost/load:1","localhost/pause:1"],"Layers":["layer.tar"]}]' >manifest.json
tar -cf "$2" manifest.json config.json layer.tar
