#!/bin/bash
# Trains a spec on a SLURM cluster, through time limits and pre-emption:
#
#     sbatch examples/slurm/train.sh my-spec.yaml
#
# 90 seconds before the time limit SLURM sends SIGUSR1 to the training, and where the job is
# pre-empted SIGTERM. Either way the state is saved after the step in hand, the command ends with
# 138 or 143, and the job is queued again. Started again, `--resume` goes on with the same run.
# After `scancel` the state is saved too, and the job ends. Submitted again once its run has finished,
# it trains nothing; `sbatch train.sh my-spec.yaml --again` trains the spec once more.
#
# Yours to change: the time, cores and memory below, with `--partition`, `--account` and `--gres` as
# your cluster wants them; the environment that has netbuild in it; and `--out`, where runs are written
# (`sbatch train.sh my-spec.yaml --out "$SCRATCH/runs"`). A job that is killed without a signal, for its
# memory say, goes on from the last checkpoint: `training: {checkpoint: {every: 500}}`.
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

# Were this shell to end at the SIGTERM of a pre-emption, the training would be killed with it.
# The training itself handles both, whatever it inherits.
trap '' TERM USR1

# `srun` hands signals on to the training, and its exit code back to this script. It does not take
# the job's cores per task over by itself.
srun --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" netbuild train "$spec" --resume --quiet "$@"
code=$?

case $code in
    138 | 143) # saved, by SIGUSR1 or SIGTERM: 128 + 10, 128 + 15
        state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format='%T %r')
        if [[ $state == COMPLETING* && $state != *TimeLimit ]]; then
            # Somebody has cancelled the job, or SLURM has queued it again itself.
            echo "SLURM ends this job, or starts it again"
        elif scontrol requeue "$SLURM_JOB_ID"; then
            echo "queued again"
        else
            echo "SLURM does not queue this job again; submit it to go on"
        fi
        ;;
    0) echo "finished" ;;
    6) echo "another job trains this spec; see the message above" ;;
    *) echo "ended with exit code $code" ;;
esac
exit "$code"
