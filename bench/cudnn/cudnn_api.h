// The functions of cuDNN that the comparison calls, found at run time: nothing links cuDNN, and
// nothing needs it to start.
//
//   const CudnnApi api = load_cudnn("");              // libcudnn.so.9; throws Error with the
//   reason api.check(api.Create(&handle), "cudnnCreate");    // throws NotSupported with cuDNN's
//   word
//
// Only where the build found cudnn.h, whose declarations these are. The library stays loaded.
#pragma once

#include <cudnn.h>

#include <string>

namespace unroll::bench {

#define UNROLL_CUDNN_FUNCTIONS(each)                                                            \
  each(GetVersion) each(GetErrorString) each(Create) each(Destroy) each(SetStream)              \
      each(CreateDropoutDescriptor) each(SetDropoutDescriptor) each(DestroyDropoutDescriptor)   \
          each(CreateTensorDescriptor) each(SetTensorNdDescriptor) each(GetTensorNdDescriptor)  \
              each(DestroyTensorDescriptor) each(CreateRNNDescriptor) each(SetRNNDescriptor_v8) \
                  each(DestroyRNNDescriptor) each(CreateRNNDataDescriptor)                      \
                      each(SetRNNDataDescriptor) each(DestroyRNNDataDescriptor)                 \
                          each(BuildRNNDynamic) each(GetRNNTempSpaceSizes)                      \
                              each(GetRNNWeightSpaceSize) each(GetRNNWeightParams)              \
                                  each(RNNForward) each(RNNBackwardData_v8)                     \
                                      each(RNNBackwardWeights_v8)

/// Each member is the function of its name behind "cudnn".
struct CudnnApi {
#define UNROLL_CUDNN_MEMBER(name) decltype(&::cudnn##name) name = nullptr;
  UNROLL_CUDNN_FUNCTIONS(UNROLL_CUDNN_MEMBER)
#undef UNROLL_CUDNN_MEMBER
  // What the last failure was, in words; null before version 9.
  void (*GetLastErrorString)(char* message, std::size_t size) = nullptr;

  /// "9.19.0".
  std::string version() const;
  /// Throws NotSupported: what was called, cuDNN's word and, where it has one, its sentence.
  void check(cudnnStatus_t status, const char* called) const;
};

/// From the file, or by default the library of the version whose header was compiled. Throws Error
/// where it is not there, is of another version or lacks a function.
CudnnApi load_cudnn(const std::string& file);

}  // namespace unroll::bench
