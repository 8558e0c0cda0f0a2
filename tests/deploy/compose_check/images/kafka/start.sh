#!/bin/sh
# Kafka's own wrapper writes server.properties from the KAFKA_… variables and formats what is new; then the broker.
set -eu
small='-XX:+UseSerialGC -XX:TieredStopAtLevel=1'
logging=-Dlog4j2.configurationFile=/etc/kafka/docker/log4j2.properties

# shellcheck disable=SC2086  they are several words on purpose, here and below
said=$(java $small "$logging" -cp '/opt/kafka/libs/*' kafka.docker.KafkaDockerWrapper setup \
  --default-configs-dir /etc/kafka/docker --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1) \
  || case $said in
    *'already formatted'*) ;;  # it ran before
    *) echo "$said"; exit 1 ;;
  esac
# shellcheck disable=SC2086
exec java ${KAFKA_HEAP_OPTS:--Xmx512m} $small "$logging" -cp '/opt/kafka/libs/*' kafka.Kafka /opt/kafka/config/server.properties
