#!/bin/sh
# The game as a shell script: nothing but what the shell can do itself.
n=0
while [ $n -lt 6000 ]; do
    read -r t _ </proc/uptime && echo "$t" >>"$LIFE"
    n=$((n + 1))
    sleep 0.02
done
