#!/bin/sh
# The main job, end to end: photos -> trained network -> one file -> answers with a heat map. Offline but for pip.
set -eu
demo=${1:-demo}
edgeclf=${BIN:-.venv/bin}/edgeclf
if [ -e "$demo" ] && [ ! -e "$demo/photos/marks.json" ]; then
  echo "$demo exists and was not made by this demo; name another folder with DEMO="
  exit 2
fi
rm -rf "$demo"
step() { printf '\n== %s\n' "$1"; }

step "drawing six penguin species"
"$edgeclf" sample-data "$demo/photos" --per-class 60
"$edgeclf" sample-data "$demo/unseen" --per-class 5 --seed 1

step "fine-tuning EfficientNet-Lite0 from its ImageNet weights"
"$edgeclf" train "$demo/photos" --epochs 4 --out "$demo/run"

step "exporting one file for the field: FP32, then INT8"
about="edgeclf's demo: trained on drawn penguins, not meant for real ones"
"$edgeclf" export "$demo/run" -o "$demo/penguins.onnx" --description "$about"
"$edgeclf" export "$demo/run" -o "$demo/penguins-int8.onnx" --int8 --description "$about"

step "predicting photos that it has never seen, with the INT8 file"
"$edgeclf" predict "$demo"/unseen/*/*_0001.jpg -m "$demo/penguins-int8.onnx" -k 2 --cam "$demo/overlays"

printf '\nLook at %s (why each was decided), %s (which classes are confused)\nand, on your own photos:  %s predict PHOTO -m %s --cam why.png\n' \
  "$demo/overlays/" "$demo/run/report.html" "$edgeclf" "$demo/penguins-int8.onnx"
