#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A database in PostgreSQL as far as none is needed: what is said where none can be reached, and never a password.

setup() {
    HONE=${HONE:-$PWD/build/hone}
    cd "$BATS_TEST_TMPDIR"
    export XDG_DATA_HOME=$PWD/data XDG_CACHE_HOME=$PWD/cache PGCONNECT_TIMEOUT=2
    unset HONE_DB PGPASSWORD PGHOST PGSERVICE
}

verbs() {       # each that reads or writes such a database
    printf '%s\n' "hub serve --db" "hub token list --db" "hub token add x --db" "hub token revoke x --db" "db info" "db check" "db snapshot" "db trust own --db"
}

@test "a PostgreSQL that is not there ends with 75 and names no password" {
    while read -r verb; do
        run "$HONE" $verb "postgresql://ann:sesame123@127.0.0.1:1/fleet?sslpassword=sesame456"
        echo "$verb: $output"
        [ "$status" -eq 75 ]
        [[ $output == *"postgresql://ann@127.0.0.1:1/fleet"* && $output != *sesame* ]]
    done < <(verbs)
    HONE_DB="postgresql://ann:sesame123@127.0.0.1:1/fleet" run "$HONE" db info
    [ "$status" -eq 75 ] && [[ $output != *sesame* ]]
    [ ! -e postgresql: ]
}

@test "an address in which a password stands at the wrong place ends with 2 and is not repeated" {
    for address in "postgresql://ann:qux@zyg@127.0.0.1/fleet" "postgresql://ann:qux/zyg@127.0.0.1/fleet" "postgresql://ann:quxzyg/fleet" \
        "postgresql://ann:qux@127.0.0.1/fleet?no_such_option=zyg" "postgresql://ann:qux%zyg@127.0.0.1/fleet" "postgres://127.0.0.1/?quxzyg"; do
        run "$HONE" hub serve --db "$address"
        echo "$address: $output"
        [ "$status" -eq 2 ] && [[ $output != *qux* && $output != *zyg* ]]
    done
}

@test "without libpq its package is named, and all else works" {
    mkdir lib
    : >lib/libpq.so.5
    LD_LIBRARY_PATH=$PWD/lib run "$HONE" hub serve --db postgresql://127.0.0.1:1/fleet
    [ "$status" -eq 1 ] && [[ $output == *"libpq"*"libpq5"* ]]
    LD_LIBRARY_PATH=$PWD/lib run "$HONE" --version
    [ "$status" -eq 0 ]
}
