#!/bin/bash
# Trains a spec on a SLURM cluster, through time limits and pre-emption:
#
#     sbatch examples/slurm/train.sh my-spec.yaml
#     sbatch --array=0-4%2 examples/slurm/train.sh my-spec.yaml     # seeds 0 to 4, two at once
#
# `netbuild sweep EXPERIMENT --on slurm` trains whole experiments, and needs no script.
#
# SLURM sends SIGUSR1 to the training 90 seconds before the time limit, and SIGTERM when the job is
# pre-empted. In both cases the training finishes its current step and saves its state, the command
# ends with 138 or 143, and the job is queued again, where `--resume` resumes the same run. After
# `scancel` the state is saved too, but the job is not queued again. If you submit the job again after
# its run has finished, nothing is trained; `sbatch train.sh my-spec.yaml --again` trains the spec again.
#
# Change for your cluster: the time, cores and memory below, `--partition`, `--account` and `--gres`;
# the environment in which netbuild is installed; and `--out`, the folder of the runs
# (`sbatch train.sh my-spec.yaml --out "$SCRATCH/runs"`). A job that is killed without a signal, for
# example because of its memory, is resumed from the last checkpoint:
# `training: {checkpoint: {every: 500}}`.
#
#SBATCH --job-name=netbuild
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --signal=USR1@90
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.out

set -u

# source ~/netbuild/.venv/bin/activate   # or: module load ..., conda activate ...

spec=${1:?usage: sbatch train.sh SPEC [OPTION...]}
shift

# A task of a job array is called by the array and its number in it: `scontrol requeue` with
# SLURM_JOB_ID would queue the whole array again in one of its tasks. Each task has a seed of its own.
job=$SLURM_JOB_ID
if [[ -n ${SLURM_ARRAY_JOB_ID:-} ]]; then
    job=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
    set -- --set "seed=$SLURM_ARRAY_TASK_ID" "$@"
fi

# If this shell ended at the SIGTERM of a pre-emption, the training would be killed with it.
# The training handles both signals even though it inherits this setting.
trap '' TERM USR1

# `srun` passes signals to the training and returns its exit code. It does not inherit the job's
# cores per task, so they are given again.
srun --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" netbuild train "$spec" --resume --quiet "$@"
code=$?

case $code in
    138 | 143) # saved, by SIGUSR1 or SIGTERM: 128 + 10, 128 + 15
        state=$(squeue --noheader --jobs="$job" --format='%T %r')
        if [[ $state == COMPLETING* && $state != *TimeLimit ]]; then
            # The job was cancelled, or SLURM itself has queued it again.
            echo "SLURM ends this job or has queued it again"
        elif scontrol requeue "$job"; then
            echo "queued again"
        else
            echo "SLURM does not queue this job again; submit it again to resume the run"
        fi
        ;;
    0) echo "finished" ;;
    6) echo "another job trains this spec; see the message above" ;;
    *) echo "ended with exit code $code" ;;
esac
exit "$code"
