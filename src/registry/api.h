// The distribution protocol: requests to the store, answers with the specification's codes.
//
// Api routes a request; the handlers are in api_blobs.cc, api_uploads.cc, api_manifests.cc and
// api_lists.cc. Source: OCI distribution-spec 1.1, "Endpoints" and "Error Codes".
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "registry/blobs.h"
#include "registry/htpasswd.h"
#include "registry/http.h"
#include "registry/repositories.h"
#include "registry/route.h"
#include "registry/uploads.h"

namespace wherry::registry {

// {"errors": [{code, message, detail}]}.
Response error_response(int status, std::string_view code, std::string_view message,
                        std::string_view detail = "");
// What a failed step of the store is to a client; logged, since the operator must act.
Response store_failure(const Error& error);

class Api : public Service {
 public:
  // `users` may be null: everybody is let in.
  Api(Blobs& blobs, Uploads& uploads, Repositories& repositories, Authenticator* users)
      : blobs_(blobs), uploads_(uploads), repositories_(repositories), users_(users) {}

  Admission admission(const Request& request) override;
  bool check_credentials(const Request& request) override;
  Response unauthorized() override;
  Begun begin(const Request& request) override;

 private:
  Begun dispatch(const Request& request, const Route& route);

  // api_blobs.cc
  Begun blob(const Request& request, const Route& route);
  Response get_blob(const Request& request, const Route& route);
  Response delete_blob(const Route& route);
  // api_uploads.cc
  Begun start_upload(const Request& request, const Route& route);
  Begun upload(const Request& request, const Route& route);
  Response mount(const Route& route, const std::string& digest);
  Response upload_status(const Route& route);
  Response cancel_upload(const Route& route);
  Begun patch_upload(const Request& request, const Route& route);
  Begun put_upload(const Request& request, const Route& route);
  // api_manifests.cc
  Begun manifest(const Request& request, const Route& route);
  Response get_manifest(const Request& request, const Route& route);
  Begun put_manifest(const Request& request, const Route& route);
  Response delete_manifest(const Route& route);
  // api_lists.cc
  Response tags(const Route& route);
  Response catalog(const Route& route);
  Response referrers(const Route& route);

  Blobs& blobs_;
  Uploads& uploads_;
  Repositories& repositories_;
  Authenticator* users_;
};

// Shared by the handlers.
Response method_not_allowed(std::string_view allowed);
Response name_unknown(const std::string& name);
bool matches_etag(const Request& request, const std::string& etag);

}  // namespace wherry::registry
