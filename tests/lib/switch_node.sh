#!/bin/sh
# switch_node.sh CLUSTER stop|start NODE: what tests/integration/ec2_endpoint does to a node of a local cluster.
exec ordeal local "$2" "$3" --cluster "$1" >/dev/null 2>&1
