#include "mxnet/lib_api.h"

using namespace mxnet::ext;  // NOLINT: as MXNet's own examples do

// MXNet calls this once, after loading.
MXReturnValue initialize(int version) {
  if (version >= 10400) return MX_SUCCESS;
  MX_ERROR_MSG << "MXNetSeg's operators need MXNet 1.9";
  return MX_FAIL;
}
