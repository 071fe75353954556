#!/bin/sh
# Checks terraform/ with Terraform itself: the form, every argument against the schema of AWS's provider, what a plan and an apply
# make of the variables, and the user data with cloud-init. Nothing is asked of AWS. Each kind of check is first seen to fail.
set -eu
cd "$(dirname "$0")/../.."

BINDINGS=21.22.1
BINDINGS_SHA256=d1446ab6ac6526c6fab4b28a5ebefdd90c0ce56203949925d35a4d286c05cbbf

command -v terraform >/dev/null || {
    echo "terraform: Terraform 1.9 or newer is not here; install it from https://developer.hashicorp.com/terraform/install" >&2
    exit 1
}
root=$PWD
work=$root/target/terraform
mkdir -p "$work/bin"

# The schema: bindings that HashiCorp generates from the provider.
if ! cmp -s tests/setup/terraform.sh "$work/versions"; then
    command -v npm >/dev/null || tests/setup/packages.sh tests/checkers/node-packages.txt
    echo "terraform: fetching the schema of AWS's provider"
    (cd "$work" && npm pack --silent "@cdktf/provider-aws@$BINDINGS" >/dev/null)
    echo "$BINDINGS_SHA256  $work/cdktf-provider-aws-$BINDINGS.tgz" | sha256sum --check --quiet
    rm -rf "$work/package" && tar -xzf "$work/cdktf-provider-aws-$BINDINGS.tgz" -C "$work"
    cp tests/setup/terraform.sh "$work/versions"
fi
if ! cmp -s tests/terraform/requirements.txt "$work/python/requirements.txt"; then
    /usr/bin/python3 -m venv --clear "$work/python"
    "$work/python/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement tests/terraform/requirements.txt
    cp tests/terraform/requirements.txt "$work/python"
fi

if [ ! -e "$work/cloud-init/usr" ]; then
    rm -rf "$work/cloud-init" && mkdir "$work/cloud-init"
    (cd "$work/cloud-init" && apt-get download --quiet=2 -o APT::Sandbox::User=root cloud-init && dpkg-deb --extract cloud-init_*.deb .)
fi

# The stand-in for the provider.
cat > "$work/bin/terraform-provider-aws" <<SH
#!/bin/sh
exec "$work/python/bin/python" "$root/tests/terraform/provider.py" "\$@"
SH
chmod +x "$work/bin/terraform-provider-aws"
cat > "$work/terraformrc" <<HCL
provider_installation {
  dev_overrides { "hashicorp/aws" = "$work/bin" }
  direct {}
}
HCL
export TF_CLI_CONFIG_FILE="$work/terraformrc" POSTERN_AWS_BINDINGS="$work/package" CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1
POSTERN_AWS_KINDS=$(sed -nE 's/^resource "(aws_[a-z0-9_]+)".*/\1/p; s/^data "(aws_[a-z0-9_]+)".*/data.\1/p' terraform/*.tf | sort -u | tr '\n' ' ')
export POSTERN_AWS_KINDS

# copy NAME: a copy of the module to be changed.
copy() {
    rm -rf "${work:?}/$1" && cp -r terraform "$work/$1" && cd "$work/$1"
}

# must_fail TEXT COMMAND...: the command fails, and says TEXT.
must_fail() {
    text=$1
    shift
    if "$@" > "$work/said" 2>&1 || ! grep -qF "$text" "$work/said"; then
        cat "$work/said" >&2
        echo "terraform: \`$*\` did not fail with \"$text\"" >&2
        exit 1
    fi
}

judge() {
    PYTHONPATH="$work/cloud-init/usr/lib/python3/dist-packages" /usr/bin/python3 -m cloudinit.cmd.main schema --config-file "$1"
}

echo "terraform: form"
terraform fmt -check -recursive terraform

echo "terraform: arguments"
(cd terraform && terraform validate -no-color >/dev/null)
(copy example && cd examples/complete && terraform get >/dev/null && terraform validate -no-color >/dev/null)
(copy misspelt && sed -i 's/http_put_response_hop_limit/http_put_response_hops/' main.tf && must_fail 'on main.tf line' terraform validate -no-color)
(copy unknown && sed -i 's/"aws_eip_domain_name"/"aws_eip_domain_names"/; s/aws_eip_domain_name\./aws_eip_domain_names./' main.tf && must_fail 'aws_eip_domain_names' terraform validate -no-color)

echo "terraform: plans"
(cd terraform && terraform test -no-color) > "$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }
grep 'Success!' "$work/said"
(copy open && sed -i 's/\[25, 443/[22, 25, 443/' variables.tf && must_fail 'other ports are open' terraform test -no-color)

echo "terraform: user data"
copy any-cloud && cd examples/any-cloud
terraform apply -no-color -auto-approve -var package_url=https://packages.example.net/edge.deb \
    -var package_sha256="$(printf 'a package' | sha256sum | cut -d' ' -f1)" >/dev/null
terraform output -raw user_data > "$work/user-data"
judge "$work/user-data" >/dev/null
sed 's/^package_update: true/package_update: perhaps/' "$work/user-data" > "$work/misspelt-data"
must_fail 'package_update' judge "$work/misspelt-data"

# What the machine runs, with programs that write down what they are asked.
rm -rf "$work/machine" && mkdir -p "$work/machine/bin" && cd "$work/machine"
"$work/python/bin/python" - "$work/user-data" <<'PY' > install
import re, sys, textwrap
text = open(sys.argv[1]).read()
print(textwrap.dedent(re.search(r"path: /usr/local/sbin/postern-install\n.*?content: \|\n(.*?)\n\nruncmd:", text, re.S)[1]))
PY
for program in systemctl apt-get ln; do
    printf '#!/bin/sh\necho %s "$@" >> %s/asked\n' "$program" "$PWD" > "bin/$program"
done
printf '#!/bin/sh\nfor last; do :; done\nprintf "%%s" "$PACKAGE" > postern-edge.deb\n' > bin/curl
chmod +x bin/*
PATH=$PWD/bin:$PATH PACKAGE='a package' sh install
grep -q '^apt-get install --yes .*./postern-edge.deb' asked
grep -q '^systemctl enable --now postern-edge' asked
rm asked
export PACKAGE='another package'
must_fail 'nothing was installed' env PATH="$PWD/bin:$PATH" sh install
! grep -q apt-get asked
echo "terraform: all is well"
