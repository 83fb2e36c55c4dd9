#!/usr/bin/env bash
# Tests, benchmarks and training on a GPU within GPU_RUN_MINUTES (default 12): bash tools/gpu_run.sh
#
#   1  the tests that need CUDA
#   2  backends of the node's networks at batch 1, and refinement
#   3  training throughput by batch size
#   4  training for the time that is left: sfmlearner, vid2depth, and the default model, which goes
#      on from the packaged one with rendered drives and rooms, and the lessons of real frames
#
# Renders drives and rooms for training meanwhile, on all cores. Needs this repository and a Python
# whose torch sees CUDA; no network where that Python also has numpy, cv2, yaml, matplotlib, tqdm
# and pytest (wheels in .whl/ are installed). Exit code 3: something is missing.
#
#   OUT                 folder for report.md, logs, pictures and models (default out/gpu_run)
#   GPU_RUN_REAL        file of `python -m training.prepare pack` with real frames and their lessons
#                       (default out/real.zip where it exists)
#   GPU_RUN_VALIDATION  scenes kept for validation, as YAML (default: names among the real frames)
#   GPU_RUN_SETTINGS    further settings for training, such as "inverse_depth_start=0.5 seed=1"
#   GPU_RUN_RETURN      all, or small: at most 8 files of 15 MiB, the first model in pieces
#                       (cat *.xz.* | xz -d > model.safetensors)
#   GPU_RUN_PARTS       parts to run, such as "1 3 4"; default all
#   GPU_RUN_TRAIN       recipes of part 4, each for an equal share of the time (default
#                       "sfmlearner vid2depth default")
#   GPU_RUN_DRY=1       the same on the processor with tiny sizes, to try the script
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 3

DRY=${GPU_RUN_DRY:-}
MINUTES=${GPU_RUN_MINUTES:-$([ -n "$DRY" ] && echo 5 || echo 12)}
OUT=${OUT:-out/gpu_run}
WORK=${GPU_RUN_WORK:-out/gpu_work}
RETURN=${GPU_RUN_RETURN:-all}
PARTS=" ${GPU_RUN_PARTS:-1 2 3 4} "
TRAIN=${GPU_RUN_TRAIN:-sfmlearner vid2depth default}
REAL=${GPU_RUN_REAL:-$([ -f out/real.zip ] && echo out/real.zip)}
CORES=$(nproc)
SECONDS=0
mkdir -p "$OUT" "$WORK/logs" "$WORK/drives" "$WORK/data"
REPORT=$OUT/report.md
: > "$REPORT"
rm -f "$OUT"/*.safetensors.xz.?
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

if [ -n "$DRY" ]; then
    DEVICE=cpu BATCHES="1" COMPILED="" RECIPES="sfmlearner" STEPS="--steps 1 --rounds 1"
    FRAMES=12 SIZE=208x64 ROOM_SIZE=104x78 BATCH=2
    BACKENDS="packed" TURNS=3 TEST_S=90 BACKEND_S=60 BENCH_S=60 RENDER_S=30 RESERVE_S=5
    TINY="model.width=208 model.height=64 cuda_graph=true data_on_device=true precision=float32"
else
    DEVICE=cuda BATCHES="64 4 128 256 16 32" COMPILED="64" RECIPES="sfmlearner vid2depth default"
    STEPS="" FRAMES=80 SIZE=416x128 ROOM_SIZE=342x256 BATCH=64
    BACKENDS="packed bfloat16 cudagraph compiled" TURNS=60
    TEST_S=100 BACKEND_S=90 BENCH_S=180 RENDER_S=240 RESERVE_S=45
    TINY="precision=bfloat16"
fi

say() { echo "$@" | tee -a "$REPORT"; }
left() { echo $((MINUTES * 60 - SECONDS)); }
least() { echo $(($1 < $2 ? $1 : $2)); }
wanted() { [[ $PARTS == *" $1 "* ]]; }

# part HEADING SECONDS LOG COMMAND...: run a command, limited by SECONDS and by the time that is
# left, with its output in LOG and the outcome in the report.
part() {
    local heading=$1 limit log=$3
    limit=$(least "$2" $(($(left) - RESERVE_S)))
    shift 3
    say ""; say "## $heading"; say ""
    if [ "$limit" -lt 5 ]; then say "no time is left for it"; return; fi
    timeout -k 15 -s INT "$limit" "$@" > "$log" 2>&1
    local code=$?
    [ $code -eq 124 ] || [ $code -eq 130 ] && say "(stopped at its limit of $limit s)"
    if [ $code -ne 0 ] && [ $code -ne 124 ] && [ $code -ne 130 ]; then
        say "(exit code $code)"
        tail -n 15 "$log" | sed 's/^/    /' | tee -a "$REPORT"
    fi
    return 0
}

# Whether a Python has a torch that sees CUDA; in a dry run any torch will do.
sees_device() {
    "$1" -c "import torch, sys; sys.exit(not (torch.cuda.is_available() or '$DRY'))" \
        > /dev/null 2>&1
}

find_python() {
    local python
    for python in ${GPU_PYTHON:-} .venv/bin/python python3 python out/gpu_venv/bin/python; do
        command -v "$python" > /dev/null && sees_device "$python" && { echo "$python"; return; }
    done
    return 1
}

make_python() {
    if ! nvidia-smi > /dev/null 2>&1; then
        echo "gpu_run: no NVIDIA driver answers (nvidia-smi), and no Python sees CUDA" >&2
        return 1
    fi
    echo "gpu_run: no torch here sees CUDA, trying to install one" >&2
    # The index's own torch for Linux is the one for CUDA.
    timeout 240 bash -c 'python3 -m venv out/gpu_venv && out/gpu_venv/bin/pip install --quiet \
        --constraint constraints.txt \
        torch numpy opencv-python-headless PyYAML matplotlib tqdm pytest' >&2 &&
        sees_device out/gpu_venv/bin/python && return
    echo "gpu_run: missing a torch for CUDA: pip install torch into a Python and name it," \
        "as GPU_PYTHON=/path/to/python" >&2
    return 1
}

PY=$(find_python) || { make_python && PY=$(find_python); } || exit 3

# Distributions that this Python lacks.
missing() {
    "$PY" - << 'PYTHON'
from importlib.util import find_spec
names = {"cv2": "opencv-python-headless", "yaml": "PyYAML"}
modules = ("numpy", "cv2", "yaml", "matplotlib", "tqdm", "pytest")
print(*(names.get(module, module) for module in modules if find_spec(module) is None))
PYTHON
}

export PYTHONPATH="$PYTHONPATH:$PWD/$WORK/packages"
LACKS=$(missing)
if [ -n "$LACKS" ]; then
    SOURCE=$([ -d .whl ] && echo "--no-index --find-links .whl")
    # shellcheck disable=SC2086
    timeout 120 "$PY" -m pip install --quiet --target "$WORK/packages" --no-deps $SOURCE $LACKS
    LACKS=$(missing)
    if [ -n "$LACKS" ]; then
        echo "gpu_run: $PY lacks $LACKS, and they cannot be installed:" \
            "carry their wheels in .whl/" >&2
        exit 3
    fi
fi

say "# GPU run, $(date -u +%FT%TZ), $(git rev-parse --short HEAD 2> /dev/null || echo 'no git')"
say ""
"$PY" - << 'PYTHON' | tee -a "$REPORT"
import sys, torch
from sfm_odometry.backends.processor import describe_device
gpu = f"{describe_device(torch.device('cuda'))}, " if torch.cuda.is_available() else "no GPU, "
cpu = describe_device(torch.device("cpu"))
print(f"{gpu}{cpu}, torch {torch.__version__}, Python {sys.version.split()[0]}")
PYTHON

# render STREET_OR_ROOMS SEED: render one drive or walk, unless the time for it is over.
render() {
    [ "$(date +%s)" -ge "$RENDER_END" ] && return
    local size=$SIZE
    [ "$1" = rooms ] && size=$ROOM_SIZE
    nice -n 10 "$PY" -m training.synthetic --world "$1" --out "$WORK/drives/.$2.part" \
        --frames "$FRAMES" --seed "$2" --size "$size" --workers 1 --quiet --overwrite &&
        mkdir -p "$WORK/drives/$1" && mv "$WORK/drives/.$2.part" "$WORK/drives/$1/$2"
}

# Make the training data in the background: a drive or walk on each core; then real frames; then
# the file "ready".
make_data() {
    local world index shards
    RENDER_END=$(($(date +%s) + RENDER_S - SECONDS))
    export -f render
    export RENDER_END PY WORK FRAMES SIZE ROOM_SIZE
    for index in $(seq 1000); do
        echo "street $index"
        [ $((index % 2)) = 0 ] || echo "rooms $index"
    done | xargs -P "$CORES" -L 1 bash -c 'render "$0" "$1"'
    for world in street rooms; do
        [ -d "$WORK/drives/$world" ] || continue
        shards=$(least "$CORES" "$(ls "$WORK/drives/$world" | wc -l)")
        for index in $(seq "$shards"); do
            nice -n 10 "$PY" -m training.prepare kitti-odometry --root "$WORK/drives/$world" \
                --out "$WORK/data/$world" --size "$SIZE" --workers 1 --shard "$index/$shards" \
                --resize-mode stretch &
        done
        wait
    done
    [ -n "$REAL" ] && "$PY" -m training.prepare unpack --file "$REAL" --out "$WORK/data/real"
    touch "$WORK/data/ready"
}
rm -f "$WORK/data/ready"
if wanted 4; then
    make_data > "$WORK/logs/data.log" 2>&1 &
    MAKING=$!
fi

if wanted 1; then
    part "1 Tests that need CUDA" "$TEST_S" "$WORK/logs/tests.log" \
        "$PY" -m pytest -rA --tb=short -q -p no:cacheprovider \
        test/training/engine/test_captured_step.py test/training/data/test_device_data.py \
        test/training/engine/test_host_waits.py test/sfm_odometry/backends/test_backends.py \
        -k "cuda or recorded or recordings or host or wait"
    "$PY" tools/gpu_report.py tests "$WORK/logs/tests.log" | tee -a "$REPORT"
fi

if wanted 2; then
    mkdir -p "$WORK/drives"
    "$PY" -m training.synthetic --out "$WORK/bench_drive" \
        --frames $([ -n "$DRY" ] && echo 8 || echo 40) --seed 99 --workers "$CORES" \
        --quiet --overwrite > "$WORK/logs/bench_drive.log" 2>&1
    # shellcheck disable=SC2086
    part "2 Backends of the node's networks and refinement, batch 1" \
        "$BACKEND_S" "$WORK/logs/backends.log" \
        "$PY" -m benchmarks.node.backends --drive "$WORK/bench_drive" --backends $BACKENDS \
        --frames $TURNS --limit-s $((BACKEND_S / 2))
    grep -v Warning "$WORK/logs/backends.log" | grep -E '^(\||cpu|cuda|$)' | tee -a "$REPORT"
fi

if wanted 3; then
    # shellcheck disable=SC2086
    part "3 Training throughput" "$BENCH_S" "$WORK/logs/bench.log" \
        "$PY" -m benchmarks.training --table --device $DEVICE --recipes $RECIPES \
        --batches $BATCHES ${COMPILED:+--compiled $COMPILED} $STEPS --limit-s $((BENCH_S - 30))
    grep -E '^(\||NVIDIA|$)' "$WORK/logs/bench.log" | tee -a "$REPORT"
fi

# train RECIPE SECONDS SETTINGS...: train for as many steps as fit, and report the run.
train() {
    local recipe=$1 seconds=$2 steps rate
    shift 2
    steps=$([ -n "$DRY" ] && echo 4 ||
        "$PY" tools/gpu_report.py steps "$WORK/logs/bench.log" "$recipe" "$BATCH" "$seconds")
    RUNS+=("$WORK/runs/$recipe")
    rm -rf "$WORK/runs/$recipe"
    # Four times the batch, twice the rate: the square root rule, from 2e-4 at batch 4.
    rate=$("$PY" -c "print(2e-4 * ($BATCH / 4) ** 0.5)")
    # shellcheck disable=SC2086
    part "4 Training $recipe: $steps steps of $BATCH snippets" \
        "$seconds" "$WORK/logs/train_$recipe.log" \
        "$PY" -m training.train --config "config/training/$recipe.yaml" \
        --data "${DATA[@]}" $([ "$recipe" = default ] && echo "${ROOMS[@]}") \
        --out "$WORK/runs/$recipe" device=$DEVICE batch_size=$BATCH learning_rate="$rate" \
        schedule=cosine warmup_steps=$((steps / 50 + 1)) steps="$steps" \
        log_every=$((steps / 40 + 1)) \
        checkpoint_every=$((steps / 4 + 1)) pictures_every=$((steps / 2)) keep_checkpoints=1 \
        validation_snippets=200 "$VALIDATION" $TINY ${GPU_RUN_SETTINGS:-} "$@"
    "$PY" tools/gpu_report.py training "$WORK/runs/$recipe" | tee -a "$REPORT"
    if [ "$RETURN" = small ]; then
        rm -f "$OUT/${recipe}_best.safetensors"
        [ "$recipe" = default ] && cp "$WORK/runs/$recipe/latest.safetensors" "$OUT/default.safetensors"
    else
        cp "$WORK/runs/$recipe/latest.safetensors" "$OUT/$recipe.safetensors" 2> /dev/null
        cp "$WORK/runs/$recipe/best.safetensors" "$OUT/${recipe}_best.safetensors" 2> /dev/null
    fi
    return 0
}

if wanted 4; then
    # Wait for the data.
    while [ ! -f "$WORK/data/ready" ] && kill -0 "$MAKING" 2> /dev/null && [ "$(left)" -gt 60 ]; do
        sleep 1
    done
    FRAMES_MADE=$(find "$WORK/drives" -name '*.png' -path '*image_2*' 2> /dev/null | wc -l)
    say ""; say "$FRAMES_MADE frames were rendered by second $SECONDS"
    DATA=() ROOMS=() RUNS=()
    for set in street real; do
        [ -d "$WORK/data/$set" ] && DATA+=("$WORK/data/$set")
    done
    [ -d "$WORK/data/rooms" ] && ROOMS=("$WORK/data/rooms")
    if [ -d "$WORK/data/real" ]; then
        SCENES='["03_000440*", "*000300-000399", "91*"]'
        VALIDATION="validation_scenes=${GPU_RUN_VALIDATION:-$SCENES}"
    else
        VALIDATION=validation_fraction=0.1
    fi
    if [ -n "$REAL" ] && [ ! -d "$WORK/data/real" ]; then
        say "no real frames:"
        grep -h error "$WORK/logs/data.log" | tee -a "$REPORT"
    fi

    # Train.
    if [ ${#DATA[@]} -eq 0 ]; then
        say "no data to learn from:"; tail -n 5 "$WORK/logs/data.log" | tee -a "$REPORT"
    else
        # The settings of the packaged model's last stage (docs/model_card.md).
        DEFAULT="init_from=sfm_odometry/models/default.safetensors gradient_clip=10 \
            objective.photometric=1 objective.given_motion=true objective.point_supervision=2 \
            objective.taught_motion=1 objective.depth_supervision=3 \
            objective.depth_scale_weight=0.2 objective.motion_supervision=1.5 objective.explainability=0.1 augment.max_zoom=1.3"
        WAITING=$(echo "$TRAIN" | wc -w)
        for recipe in $TRAIN; do
            SHARE=$((($(left) - RESERVE_S) / WAITING))
            WAITING=$((WAITING - 1))
            [ "$SHARE" -lt 20 ] && [ -z "$DRY" ] && continue
            # shellcheck disable=SC2086
            case $recipe in
                sfmlearner) train "$recipe" "$SHARE" model.pose.frames=3 ;;
                default) train "$recipe" "$SHARE" $DEFAULT ;;
                *) train "$recipe" "$SHARE" ;;
            esac
        done
    fi
fi

# Pack logs, pictures and models.
pictures() {
    local run
    for run in runs/*/pictures; do
        [ "$RETURN" = small ] && find "$run" -name '*.png' | sort | tail -n 1 || echo "$run"
    done
}
# shellcheck disable=SC2046
tar -czf "$OUT/logs.tar.gz" -C "$WORK" logs \
    $(cd "$WORK" && { ls -d runs/*/log.jsonl runs/*/config.json; pictures; } 2> /dev/null)
if [ "$RETURN" = small ] && wanted 4 && [ -f "$WORK/runs/sfmlearner/latest.safetensors" ]; then
    HALF=$WORK/half.safetensors
    "$PY" tools/gpu_report.py half "$WORK/runs/sfmlearner/latest.safetensors" "$HALF" &&
        timeout 40 xz -T0 --lzma2=preset=1,lp=1,lc=3 -c "$HALF" |
        split -b 15m -a 1 -d - "$OUT/sfmlearner.safetensors.xz."
fi
say ""; say "done after $SECONDS s; everything is under $OUT and $WORK"
