#!/bin/sh
# What a user gets: the built wheel with [cpu] alone, in a clean environment. Checks sizes, answers, heat map, extras.
# usage: test_wheel.sh PYTHON-WITH-BUILD
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" -m build --wheel --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
wheel=$(ls "$work"/dist/*.whl)
[ "$(wc -c <"$wheel")" -le 12000000 ] || { echo "the wheel is larger than 12 MB"; exit 1; }

"$1" -m venv "$work/venv"
before=$(du -sm "$work/venv" | cut -f1)
# typer 0.29 and later bring pydantic, about 10 MB with what it needs, which edgeclf does without: not counted, but used below.
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$wheel[cpu]" "typer<0.29"
added=$(($(du -sm "$work/venv" | cut -f1) - before))
# The browser runtime of `edgeclf web`, 4 MB, is not needed to predict: not counted either.
browser=$(du -sm "$work"/venv/lib/python*/site-packages/edgeclf/page/vendor | cut -f1)
[ "$((added - browser))" -le 205 ] || { echo "[cpu] adds $((added - browser)) MB, more than 205"; exit 1; }

"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade typer
newest=$(($(du -sm "$work/venv" | cut -f1) - before))

cp -r tests/runtime/photos "$work/photos"
cd "$work" # away from the sources: only what was installed may answer
PATH="$work/venv/bin:$PATH"
edgeclf predict photos --json -k 1 >answers.jsonl
grep -q '"label": "king penguin"' answers.jsonl
edgeclf predict photos/*.jpg --cam why.png -k 1
[ -s why.png ]
edgeclf info | head -4
edgeclf web -o site
[ -s site/edgeclf-site.json ] && [ -s site/page/vendor/ort-wasm-simd-threaded.wasm ]
transfer=$(find site -name '*.gz' -exec cat {} + | wc -c)
[ "$transfer" -le 8000000 ] || { echo "a first visit of the site transfers $transfer bytes, more than 8 MB"; exit 1; }
set +e
message=$(edgeclf train photos 2>&1)
code=$?
set -e
echo "$message"
[ $code -eq 4 ] || exit 1
echo "$message" | grep -q 'pip install "edgeclf\[train\]"'
echo "wheel: $(($(wc -c <"$wheel") / 1000)) kB; [cpu] adds $added MB ($browser MB for browsers), $newest MB with the newest typer; site: $((transfer / 1000)) kB"
