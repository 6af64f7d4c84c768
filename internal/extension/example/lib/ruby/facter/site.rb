# Custom facts: Facter loads every .rb file in this directory. An exception out here, outside
# setcode, or a call of `exit` anywhere would cost the machine all of its facts.
#
# Facter::Util::Resolution.exec is there in every Facter from 1.5 to 4 and finds programs of the
# extension's bin/. Do not use puts: stdout belongs to Facter.
Facter.add(:site_role) do
  setcode do
    Facter::Util::Resolution.exec('site-role')
  end
end
