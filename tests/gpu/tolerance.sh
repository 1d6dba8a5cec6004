# SPDX-License-Identifier: Apache-2.0
# For scripts that compare networks: tolerance NETWORK PRECISION.

# ||out - ref|| / ||ref|| that is allowed: PP-OCR's trained weights cancel more than the seeded ones of the others.
tolerance() {
    case $1:$2 in
    ppocr*:fp32) echo 1e-4 ;; ppocr*:tf32) echo 2e-2 ;; ppocr*:fp16) echo 6e-2 ;; ppocr*:bf16) echo 5e-1 ;;
    *:fp32) echo 1e-4 ;; *:tf32) echo 2e-3 ;; *:fp16) echo 5e-3 ;; *:bf16) echo 4e-2 ;;
    esac
}
